"""The models of the app `taskflow`, where Django looks for them."""

from __future__ import annotations

from .admin_models import Queue, Task, Worker
from .outbox.row import OutboxRow

__all__ = ["OutboxRow", "Queue", "Task", "Worker"]
