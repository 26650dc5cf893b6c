"""What a worker holds: leases on it, and verdicts that are written."""
