"""The tasks: found by what was asked, looked at one by one, run, cancelled, archived and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from taskflow import State
from taskflow.errors import (
    BrokerError,
    InvalidQueueName,
    InvalidTaskId,
    QueueNotFound,
    TaskFlowError,
    TaskNotFound,
)
from taskflow.inspector import QueueInfo, TaskInfo, arguments_text, error_text, headers_text, result_text

from .. import making
from . import asked as asking
from .asked import Asked, Choices, Form
from .base import Listed, PageAdmin
from .listing import STATES, Page, blocks_of, read_page
from .orders import TASK_ORDERS, Names, Order, carry_out_all
from .places import parts_of, place_of
from .task_facts import Row, attempts_of, facts_of, moment_of

MOST_AT_ONCE = 100_000
"""Tasks that an order for all that fit may have to look at: a page has to be there before its server loses patience."""

MOST_QUEUES = 100
"""Queues that the filter names; there may be thousands."""


class TaskAdmin(PageAdmin):
    """Tasks in the admin. Derive from it, and register that for `Task`, to change it."""

    orders = TASK_ORDERS
    noun = "task"

    # --- permissions ---------------------------------------------------------------------------------

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether a user may let tasks run.

        Args:
            request: whose.
        """
        return bool(request.user.has_perm(f"{self.opts.app_label}.run_task"))

    def has_view_arguments_permission(self, request: HttpRequest) -> bool:
        """Whether a user sees arguments and results: with the permission, and if the project shows them at all.

        Args:
            request: whose.
        """
        shown = making.current_settings().admin_show_arguments
        return shown and bool(request.user.has_perm(f"{self.opts.app_label}.view_task_arguments"))

    # --- the list ------------------------------------------------------------------------------------

    def show_list(self, request: HttpRequest, extra: dict[str, Any]) -> HttpResponse:
        """The tasks that were asked for."""
        asked = asking.read(request.GET)
        counted = self.inspector.queues()
        chosen, problem = self._chosen_queues(asked, counted)
        page = self._page(asked, chosen)
        page.missing[:0] = [f"queue {queue.name!r}: {queue.problem}" for queue in chosen if queue.problem]
        orders = [one for one in self.allowed(request) if asked.state is None or asked.state in one.states]
        form = self.action_form_for(request, orders) if page.tasks else None
        listed = Listed(self, len(page.tasks))
        listed.has_filters = True
        listed.has_active_filters = bool(asked.query() != "?")
        listed.filter_specs = self._filters(asked, counted, chosen)
        listed.search_fields = ("id",)
        listed.search_help_text = "The id of a task. By name, error and age the filter finds them."
        listed.query = asked.task_id
        listed.params = dict(asked.hidden())
        context = {
            "title": "Tasks",
            "cl": listed,
            "asked": asked,
            "problem": asked.problem or problem,
            "page": page,
            "rows": [self._row(request, task) for task in page.tasks],
            "columns": ("ID", "Name", "Queue", "State", "When", "Retried", "Last error"),
            "first_url": asked.query() if page.start else "",
            "next_url": "" if page.end is None else asked.query(start=str(page.end)),
            "action_form": form,
            "actions_on_top": True,
            "may_take_all": form is not None and not asked.task_id,
            "missing": page.missing,
        }
        media = self.media + form.media if form else self.media
        return self.page(
            request, ["admin/taskflow/task/change_list.html"], {**context, "media": media, **extra}
        )

    def _chosen_queues(self, asked: Asked, counted: Sequence[QueueInfo]) -> tuple[list[QueueInfo], str]:
        """The queues that are meant, and what is wrong with that."""
        if not asked.queue:
            return list(counted), ""
        found = [queue for queue in counted if queue.name == asked.queue]
        if found:
            return found, ""
        try:
            # Go's clients may leave a queue out of the index; and a partition is none of its queues.
            return [self.inspector.queue(asked.queue)], ""
        except (QueueNotFound, InvalidQueueName) as error:
            return [], str(error)

    def _page(self, asked: Asked, queues: Sequence[QueueInfo]) -> Page:
        if asked.problem:
            return Page([], 0, 0)
        if asked.task_id:
            return self._by_id(asked)
        return read_page(self.inspector, blocks_of(queues, asked.states), asked.where, asked.start)

    def _by_id(self, asked: Asked) -> Page:
        page = Page([], 0, 0)
        try:
            names = [asked.queue] if asked.queue else self.inspector.queues_with(asked.task_id)
            for name in names:
                page.tasks.append(self.inspector.task(name, asked.task_id))
        except BrokerError as error:
            page.missing.append(f"not every queue could be asked: {error}")
        except (TaskNotFound, QueueNotFound, InvalidTaskId, InvalidQueueName):
            pass
        page.total = len(page.tasks)
        return page

    def _row(self, request: HttpRequest, task: TaskInfo) -> Row:
        return Row(
            task=task,
            place=place_of(task.queue, task.id),
            url=self.url("change", task.queue, task.id),
            queue_url=self.link(request, "queue", task.queue),
            moment=moment_of(task),
            error=error_text(task),
        )

    def _filters(
        self, asked: Asked, counted: Sequence[QueueInfo], chosen: Sequence[QueueInfo]
    ) -> list[Choices | Form]:
        by_state = [("All", asked.query(state=""), asked.state is None)]
        for state in STATES:
            size = sum(queue.count(state) for queue in chosen)
            by_state.append(
                (f"{state.value} ({size:,})", asked.query(state=state.value), asked.state is state)
            )
        by_queue = [("All", asked.query(queue=""), not asked.queue)]
        names = [queue.name for queue in counted[:MOST_QUEUES]]
        if asked.queue and asked.queue not in names:
            names.insert(0, asked.queue)
        by_queue += [(name, asked.query(queue=name), name == asked.queue) for name in names]
        return [Choices("state", by_state), Choices("queue", by_queue), Form(asked)]

    # --- one -----------------------------------------------------------------------------------------

    def show_one(self, request: HttpRequest, place: str, extra: dict[str, Any]) -> HttpResponse:
        """One task: what is known of it, what it has said, its attempts that failed."""
        names = self.names(place)
        if names is None:
            return self.gone(request, f"There is no task {place!r}.")
        queue, task_id = names
        try:
            task = self.inspector.task(queue, task_id)
        except (TaskNotFound, QueueNotFound, InvalidTaskId, InvalidQueueName):
            return self.gone(
                request,
                f"Task {task_id!r} is not in queue {queue!r} any more: it has succeeded and is not kept, or was deleted.",
            )
        missing: list[str] = []
        worker, started = None, None
        if task.state is State.ACTIVE:
            try:
                for one in self.inspector.servers():
                    for running in one.running:
                        if (running.queue, running.id) == (task.queue, task.id):
                            worker, started = one, running.started
            except BrokerError as error:
                missing.append(f"which worker runs it: {error}")
        shown = self.has_view_arguments_permission(request)
        context = {
            "title": task.type or task.id,
            "subtitle": None,
            "original": self.model(id=place),
            "change": True,
            "task": task,
            "facts": facts_of(task, started),
            "queue_url": self.link(request, "queue", task.queue),
            "worker": worker,
            "worker_url": self.link(request, "worker", worker.id) if worker else "",
            "said": task.said,
            "attempts": attempts_of(task),
            "contents": self._contents(task) if shown else [],
            "are_contents_shown": shown,
            "has_setting": making.current_settings().admin_show_arguments,
            "missing": missing,
            "buttons": [one for one in self.allowed(request) if task.state in one.states],
            "place": place_of(queue, task_id),
            "history_url": self.url("history", queue, task_id),
        }
        return self.page(request, ["admin/taskflow/task/change_form.html"], {**context, **extra})

    def _contents(self, task: TaskInfo) -> list[tuple[str, str]]:
        result = result_text(task)
        if task.result_problem:
            result = f"{result}\nNot to be trusted: {task.result_problem}"
        return [("Arguments", arguments_text(task)), ("Headers", headers_text(task)), ("Result", result)]

    # --- orders --------------------------------------------------------------------------------------

    def names(self, place: str) -> Names | None:
        """The queue and the id at a place."""
        names = parts_of(place)
        return names if len(names) == 2 and all(names) else None

    def obey(self, request: HttpRequest) -> HttpResponse:
        """An order for tasks that were chosen, or for all that fit."""
        order = next((one for one in self.orders if one.name == request.POST.get("action")), None)
        if order is None or request.POST.get("select_across") != "1":
            return super().obey(request)
        if not self.may(request, order.permission):
            raise PermissionDenied
        asked = asking.read(request.GET)
        back = request.get_full_path()
        try:
            queues, problem = self._chosen_queues(asked, self.inspector.queues())
            problem = asked.problem or problem
            sound = [queue for queue in queues if not queue.problem]
            states = [state for state in asked.states if state in order.states]
            total = sum(block.size for block in blocks_of(sound, states))
            if not problem and total > MOST_AT_ONCE:
                problem = (
                    f"These are {total:,} tasks to look at, more than a page does at once ({MOST_AT_ONCE:,}). Ask for fewer, or "
                    f"give the order in a shell: taskflow task {order.name} --help."
                )
            if problem:
                self.message_user(request, f"{problem.rstrip('.')}. Nothing was changed.", messages.WARNING)
                return HttpResponseRedirect(back)
            names = [queue.name for queue in sound]
            if request.POST.get("confirmed") == "yes":
                return self._order_all(request, order, asked, states, names, back)
            count = self._count(asked, states, names) if asked.is_narrow else total
        except BrokerError:
            raise
        except TaskFlowError as error:
            self.message_user(request, f"{str(error).rstrip('.')}. Nothing was changed.", messages.WARNING)
            return HttpResponseRedirect(back)
        if not count:
            self.message_user(
                request,
                f"No task fits that this is for: {order.label}. Nothing was changed.",
                messages.WARNING,
            )
            return HttpResponseRedirect(back)
        left_out = [f"queue {queue.name!r}: {queue.problem}" for queue in queues if queue.problem]
        return self.ask(
            request, order, count, [], back=back, all_of=asked.words() or "every queue", missing=left_out
        )

    def _count(self, asked: Asked, states: Sequence[State], queues: Sequence[str]) -> int:
        counts = [self.inspector.count_matching(state, asked.where, queues=queues) for state in states]
        return sum(sum(count.values()) for count in counts)

    def _order_all(
        self,
        request: HttpRequest,
        order: Order,
        asked: Asked,
        states: Sequence[State],
        queues: Sequence[str],
        back: str,
    ) -> HttpResponse:
        report = carry_out_all(self.inspector, order, states, asked.where, queues)
        if report.done:
            what = self.model(id="")
            what.label = f"{report.done:,} tasks: {asked.words() or 'every queue'}"[:200]
            self.note(request, order, what)
        else:
            self.message_user(request, "No task was there any more. Nothing was changed.", messages.WARNING)
        self.tell(request, report)
        return HttpResponseRedirect(back)
