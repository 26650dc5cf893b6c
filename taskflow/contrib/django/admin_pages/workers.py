"""The workers that run now, of ours and of Go's."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from taskflow.inspector import ServerView

from .base import Listed, PageAdmin
from .places import parts_of


class WorkerAdmin(PageAdmin):
    """Workers in the admin. Derive from it, and register that for `Worker`, to change it."""

    noun = "worker"

    def show_list(self, request: HttpRequest, extra: dict[str, Any]) -> HttpResponse:
        """All workers."""
        found = self.inspector.servers()
        context = {
            "title": "Workers",
            "cl": Listed(self, len(found)),
            "rows": [(one, self.url("change", one.id), self._queues(request, one)) for one in found],
            "columns": ("Worker", "State", "Busy", "Queues", "Started"),
            "missing": [f"worker {one.host}:{one.pid}: {one.problem}" for one in found if one.problem],
        }
        return self.page(request, ["admin/taskflow/worker/change_list.html"], {**context, **extra})

    def show_one(self, request: HttpRequest, place: str, extra: dict[str, Any]) -> HttpResponse:
        """One worker, with the tasks that it is running."""
        name = parts_of(place)[0]
        worker = next((one for one in self.inspector.servers() if one.id == name), None)
        if worker is None:
            return self.gone(request, f"Worker {name!r} has ended.")
        thing = self.model(id=place)
        thing.label = f"{worker.host}:{worker.pid}"
        context = {
            "title": f"{worker.host}:{worker.pid}",
            "original": thing,
            "change": True,
            "worker": worker,
            "queues": self._queues(request, worker),
            "running": [(one, self.link(request, "task", one.queue, one.id)) for one in worker.running],
            "missing": [worker.problem] if worker.problem else [],
        }
        return self.page(request, ["admin/taskflow/worker/change_form.html"], {**context, **extra})

    def _queues(self, request: HttpRequest, worker: ServerView) -> list[tuple[str, int, str]]:
        return [
            (name, weight, self.link(request, "queue", name))
            for name, weight in sorted(worker.queues.items())
        ]
