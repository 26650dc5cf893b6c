"""The row of a call that waits to be delivered."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

LABEL = "taskflow"


class OutboxRow(models.Model):  # type: ignore[misc]  # Django has no types
    """A call that was made in a transaction, as a row of it: gone when it is delivered.

    All its times are the database's.
    """

    id = models.BigAutoField(primary_key=True)
    created_at = models.DateTimeField("called at", db_default=Now(), editable=False)
    name = models.TextField("task")
    queue = models.CharField(max_length=255)
    task_id = models.CharField("task id", max_length=255)
    ready = models.BinaryField("message")
    """The finished call, `ReadyTask.pack()`."""
    attempts = models.PositiveIntegerField("deliveries that failed", default=0)
    retry_at = models.DateTimeField("not delivered before", null=True, blank=True)
    failed_at = models.DateTimeField("given up at", null=True, blank=True)
    error = models.TextField("last error", blank=True, default="")

    class Meta:
        app_label = LABEL
        db_table = "taskflow_outbox"
        default_permissions = ("view", "change", "delete")
        verbose_name = "call in the outbox"
        verbose_name_plural = "outbox"
        # What the relay asks for: those that are not given up, and wait for no moment, in their order.
        indexes = (models.Index(fields=["failed_at", "retry_at", "id"], name="taskflow_outbox_next"),)

    def __str__(self) -> str:
        return f"{self.name} {self.task_id}"
