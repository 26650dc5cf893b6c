"""What Django's users give to tasks and cannot travel: rows of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Manager, Model, QuerySet

from taskflow import AsyncResult, EnqueueCall, TaskFlow
from taskflow.errors import InvalidArguments


def attach(app: TaskFlow) -> None:
    """Say of a row what to give instead."""
    app.middleware(RowsRefused())


class RowsRefused:
    """Nothing is looked at unless a call was refused: a row is no JSON, so each of them is."""

    def enqueue(self, call: EnqueueCall, next: Callable[[], AsyncResult[Any]]) -> AsyncResult[Any]:
        """Enqueue a call."""
        try:
            return next()
        except InvalidArguments as error:
            if (advice := _advice(call)) is None:
                raise
            raise InvalidArguments(f"task {call.task!r}: {advice}") from error


def _advice(call: EnqueueCall) -> str | None:
    """What to say of the first row among the arguments; None: there is none."""
    named = [(f"argument number {at}", value) for at, value in enumerate(call.args, 1)]
    named += [(f"argument `{name}`", value) for name, value in call.kwargs.items()]
    for name, value in named:
        within = f"{name} holds" if isinstance(value, list | tuple | set | dict) else f"{name} is"
        for one in _values(value):
            if isinstance(one, Model):
                return (
                    f"{within} a row of {one._meta.label}, and a row does not travel: what the worker reads may have changed by "
                    f"then. Pass its pk (value.pk), and get the row in the task: {one._meta.object_name}.objects.get(pk=pk)"
                )
            if isinstance(one, QuerySet | Manager):
                return (
                    f"{within} a query of {one.model._meta.label}, and a query does not travel. Pass the keys: "
                    'list(query.values_list("pk", flat=True))'
                )
    return None


def _values(value: Any) -> list[Any]:
    """The value itself, or what is in it."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple | set) else [value]
