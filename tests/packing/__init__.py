"""Compression, msgpack, and the store for large arguments and results."""
