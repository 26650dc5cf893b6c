"""The outbox in Django's admin: what waits, what was given up, and orders to try again or to drop it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from taskflow.inspector import printable

from .row import OutboxRow


class Standing(admin.SimpleListFilter):  # type: ignore[misc]  # Django has no types
    """Where a call stands."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen."""
        return [("waits", "waits"), ("retries", "is tried alone"), ("given-up", "given up")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxRow]) -> QuerySet[OutboxRow]:
        """What was chosen."""
        match self.value():
            case "waits":
                return queryset.filter(failed_at=None, retry_at=None)
            case "retries":
                return queryset.filter(failed_at=None).exclude(retry_at=None)
            case "given-up":
                return queryset.exclude(failed_at=None)
        return queryset


class OutboxAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """The calls that are not delivered yet. Their arguments are not shown."""

    list_display = ("shown_name", "queue", "task_id", "created_at", "state", "attempts", "shown_error")
    list_filter = (Standing, "queue")
    search_fields = ("name", "task_id", "queue")
    ordering = ("id",)
    fields = (
        "shown_name",
        "queue",
        "task_id",
        "created_at",
        "state",
        "attempts",
        "retry_at",
        "failed_at",
        "shown_error",
    )
    readonly_fields = fields
    actions = ("deliver_again",)

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """A call is made by code."""
        return False

    @admin.display(description="task", ordering="name")  # type: ignore[untyped-decorator]
    def shown_name(self, row: OutboxRow) -> str:
        """The task's name, without what a terminal or a page would obey."""
        return printable(row.name)

    @admin.display(description="last error")  # type: ignore[untyped-decorator]
    def shown_error(self, row: OutboxRow) -> str:
        """Why it could not be delivered the last time."""
        return printable(row.error)

    @admin.display(description="state")  # type: ignore[untyped-decorator]
    def state(self, row: OutboxRow) -> str:
        """Where it stands."""
        if row.failed_at is not None:
            return "given up"
        return "waits" if row.retry_at is None else "is tried alone"

    @admin.action(description="Deliver again, from now on with the others", permissions=["change"])  # type: ignore[untyped-decorator]
    def deliver_again(self, request: HttpRequest, queryset: QuerySet[OutboxRow]) -> None:
        """Have the relay take them as if they were new."""
        count = queryset.update(failed_at=None, retry_at=None, attempts=0, error="")
        self.message_user(request, f"{count} calls wait to be delivered.", messages.SUCCESS)
