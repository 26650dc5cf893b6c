"""Logs: what a worker says, as text or as JSON lines."""
