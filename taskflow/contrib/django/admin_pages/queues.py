"""The queues: what each holds, whether it is paused, what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from taskflow.errors import BrokerError, InvalidQueueName, QueueNotFound
from taskflow.inspector import QueueInfo

from .base import Listed, PageAdmin
from .listing import STATES
from .orders import QUEUE_ORDERS
from .places import parts_of, place_of


@dataclass(frozen=True, slots=True)
class Row:
    """A queue in the list.

    Args:
        queue: it.
        place: where it is.
        url: of its page.
        tasks: for each state how many tasks there are, and the URL of their list.
        state: whether workers take from it.
    """

    queue: QueueInfo
    place: str
    url: str
    tasks: list[tuple[int, str]]
    state: str


def state_of(queue: QueueInfo) -> str:
    """Whether workers take from a queue, in words."""
    if queue.is_unknown:
        return "unavailable"
    if queue.is_partly_paused:
        return "partly paused"
    return "paused" if queue.paused else "running"


class QueueAdmin(PageAdmin):
    """Queues in the admin. Derive from it, and register that for `Queue`, to change it."""

    orders = QUEUE_ORDERS
    noun = "queue"

    def show_list(self, request: HttpRequest, extra: dict[str, Any]) -> HttpResponse:
        """All queues."""
        found = self.inspector.queues()
        tasks_url = self.link(request, "task")
        rows = [self._row(queue, tasks_url) for queue in found]
        form = self.action_form_for(request, self.allowed(request))
        context = {
            "title": "Queues",
            "cl": Listed(self, len(rows)),
            "rows": rows,
            "states": [state.value for state in STATES],
            "action_form": form,
            "actions_on_top": True,
            "missing": [f"queue {queue.name!r}: {queue.problem}" for queue in found if queue.problem],
        }
        return self.page(
            request,
            ["admin/taskflow/queue/change_list.html"],
            {**context, "media": self.media + form.media if form else self.media, **extra},
        )

    def show_one(self, request: HttpRequest, place: str, extra: dict[str, Any]) -> HttpResponse:
        """One queue."""
        name = parts_of(place)[0]
        try:
            queue = self.inspector.queue(name)
        except (QueueNotFound, InvalidQueueName) as error:
            return self.gone(request, str(error))
        missing = [f"queue {queue.name!r}: {queue.problem}"] if queue.problem else []
        days: list[Any] = []
        try:
            days = [] if queue.problem else self.inspector.history(name)
        except BrokerError as error:
            missing.append(f"the last days: {error}")
        workers: list[tuple[str, str]] | None = None
        try:
            workers = [
                (f"{worker.host}:{worker.pid}", self.link(request, "worker", worker.id))
                for worker in self.inspector.servers()
                if name in worker.queues
            ]
        except BrokerError as error:
            missing.append(f"its workers: {error}")
        context = {
            "title": queue.name,
            "original": self.model(id=place),
            "change": True,
            "row": self._row(queue, self.link(request, "task")),
            "states": [state.value for state in STATES],
            "days": days,
            "workers": workers,
            "workers_url": self.link(request, "worker"),
            "missing": missing,
            "buttons": [one for one in self.allowed(request) if self._fits(one.name, queue)],
            "history_url": self.url("history", name),
        }
        return self.page(request, ["admin/taskflow/queue/change_form.html"], {**context, **extra})

    def _row(self, queue: QueueInfo, tasks_url: str) -> Row:
        query = "" if not tasks_url else f"{tasks_url}{_query(queue.name)}"
        tasks = [
            (queue.count(state), f"{query}&state={state.value}" if query and queue.count(state) else "")
            for state in STATES
        ]
        return Row(queue, place_of(queue.name), self.url("change", queue.name), tasks, state_of(queue))

    def _fits(self, order: str, queue: QueueInfo) -> bool:
        """Whether a button makes sense: a queue that is partly paused has both."""
        if order == "pause":
            return not queue.paused
        if order == "resume":
            return queue.paused or queue.is_partly_paused
        return queue.size == 0


def _query(queue: str) -> str:
    return f"?queue={place_of(queue)}"
