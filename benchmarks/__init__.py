"""taskflow beside its peers, in one run on one real server: `python -m benchmarks`. See docs/measurements/benchmarks.md."""
