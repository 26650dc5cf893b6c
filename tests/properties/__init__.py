"""A queue is compared, step by step, with a model of it in plain Python; see `machine.py`."""
