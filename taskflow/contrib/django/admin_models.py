"""What the admin needs to show queues, tasks and workers among the models of a project: classes without a table.

Their rows are in the broker. They are models so that the admin lists them, that Django makes their permissions, and that its log
names them. No query is ever made for one: a `dumpdata` of the project finds no rows.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from taskflow.inspector import printable

from .admin_pages.places import parts_of

LABEL = "taskflow"


class NoRows(models.Manager):  # type: ignore[misc]  # Django has no types
    """Finds nothing, without asking a database."""

    def get_queryset(self) -> Any:
        """An empty one."""
        return super().get_queryset().none()


class Stored(models.Model):  # type: ignore[misc]
    """Something in the broker, by its place there (`admin_pages.places`)."""

    id = models.CharField(primary_key=True, max_length=255)

    objects = NoRows()

    label = ""
    """What it is called, where its id does not say so."""

    class Meta:
        abstract = True
        managed = False

    def __str__(self) -> str:
        return self.label or printable(parts_of(self.id)[-1])


class Queue(Stored):
    """A queue."""

    class Meta:
        app_label = LABEL
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view", "change", "delete")
        verbose_name = "queue"


class Task(Stored):
    """A task."""

    class Meta:
        app_label = LABEL
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view", "change", "delete")
        permissions = (
            ("run_task", "Can run task now"),
            ("view_task_arguments", "Can view arguments and results of tasks"),
        )
        verbose_name = "task"


class Worker(Stored):
    """A worker that runs now."""

    class Meta:
        app_label = LABEL
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view",)
        verbose_name = "worker"
