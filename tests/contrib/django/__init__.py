"""The integration of Django."""
