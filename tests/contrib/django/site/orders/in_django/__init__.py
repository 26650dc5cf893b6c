"""Tests that run inside of Django, by `manage.py test`."""
