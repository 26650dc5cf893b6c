"""The transactional outbox: a call is a row of the caller's transaction, and a relay brings it to its queue, once.

`TASKFLOW = {"OUTBOX": True}`, `manage.py migrate`, and a worker: that is all. See docs/django-outbox.md.
"""
