"""What the worker process and its children say to each other: frames on a socket, and a page of shared
memory.
"""
