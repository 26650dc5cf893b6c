"""What is put around the calls and tasks of each app that is made, and what its workers do besides: a module for each."""

from __future__ import annotations

from . import arguments, capturing, commits, databases, django_tasks
from .outbox import in_worker, keeping

PARTS = (
    databases.attach,
    arguments.attach,
    capturing.attach,
    commits.attach,
    django_tasks.attach,
    keeping.attach,
    in_worker.attach,
)
"""Each is called with an app, the outermost first. They look at `making.current_settings()` when there is something to do, and
not when they are attached, since a test may override the setting.
"""
