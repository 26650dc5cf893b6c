"""Puts the pages into an admin site."""

from __future__ import annotations

from django.contrib.admin import AdminSite

from ..admin_models import Queue, Task, Worker
from ..outbox.pages import OutboxAdmin
from ..outbox.row import OutboxRow
from .queues import QueueAdmin
from .tasks import TaskAdmin
from .workers import WorkerAdmin

PAGES = {Queue: QueueAdmin, Task: TaskAdmin, Worker: WorkerAdmin, OutboxRow: OutboxAdmin}


def register(site: AdminSite) -> None:
    """Show queues, tasks and workers in an admin site; `django.contrib.admin.site` has them already.

    What the site has registered for one of them stays.

    Args:
        site: an admin site of the project.

    Example:
        >>> register(staff_site)                                         # doctest: +SKIP
    """
    for model, pages in PAGES.items():
        if not site.is_registered(model):
            site.register(model, pages)
