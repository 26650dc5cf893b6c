"""After every test everything is as before: threads, files, processes, connections, keys. See `check.py`."""
