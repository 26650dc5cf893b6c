"""The process that owns the queues: it takes, leases, commits and cleans up, and never imports the user's
code.
"""
