"""A million tasks, with every connection cut each minute: nothing grows. `python -m tests.soak`, or `tox -e soak`."""
