"""What `--preload` saves of the memory of children: `python -m benchmarks.preloading`."""
