"""How large children become whose tasks leak, with `--max-memory-per-child`: `python -m benchmarks.leaking`."""
