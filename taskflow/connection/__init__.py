"""From a broker URL to replies: sockets, routing by key slot, and what to do when a node does not answer.

The only package that knows redis-py. `retry_plan` decides (no I/O), `sync` and `aio` carry out.
"""
