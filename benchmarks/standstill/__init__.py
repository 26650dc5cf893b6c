"""What becomes of a worker's other tasks when one of its children goes wrong: `python -m benchmarks.standstill`."""
