"""What many workers, many tasks and many nodes cost: `python -m benchmarks.scale`."""
