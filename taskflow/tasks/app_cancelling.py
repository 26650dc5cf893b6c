"""Cancelling: the part of an app that says of tasks that they are not to be run, or to end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from ..message.ids import check_queue_name, check_task_id
from ..states import State
from .app_results import AppResults

if TYPE_CHECKING:
    from ..inspector.cancelling import CancelCounts


class AppCancelling(AppResults):
    """The part of an app that cancels tasks."""

    def cancel(
        self,
        *ids: str,
        queue: str | None = None,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        state: State | str | Iterable[State | str] | None = None,
        terminate: bool | float | timedelta = False,
    ) -> CancelCounts:
        """Cancel tasks of this app's queues: by their ids, or all that match. See docs/cancel.md.

        In eager mode all tasks have ended, and nothing happens.

        Args:
            *ids: of the tasks. Besides them only `queue` and `terminate` can be given.
            queue: of this queue only; without it, of all queues that the app knows.
            name: of tasks of this name; `*` and `?` stand for any characters.
            headers: of tasks that have these headers, with these values.
            state: of tasks in this state, or in one of these: pending, scheduled, retry, aggregating, active.
            terminate: whether the process of a task that runs is killed if the task goes on. True: after 5 s; or after so many
                seconds (0: at once).

        Returns:
            How many are cancelled, how many run and were asked to end, and, of those named by id, how many had ended.

        Raises:
            InvalidOption: nothing says which tasks, or ids and something else do.
            BrokerUnavailable: the broker did not answer.

        Example:
            >>> app.cancel(name="reports:*", headers={"customer": "17"})     # doctest: +SKIP
            CancelCounts(cancelled=12, asked=1, ended=0)
        """
        queues = self._of_cancel(ids, queue)
        return self.inspector.cancel_all(
            *ids,
            queues=queues,
            named=queue is not None,
            name=name,
            headers=headers,
            state=state,
            terminate=terminate,
        )

    async def acancel(
        self,
        *ids: str,
        queue: str | None = None,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        state: State | str | Iterable[State | str] | None = None,
        terminate: bool | float | timedelta = False,
    ) -> CancelCounts:
        """As `cancel`, from a coroutine."""
        queues = self._of_cancel(ids, queue)
        return await self.ainspector.cancel_all(
            *ids,
            queues=queues,
            named=queue is not None,
            name=name,
            headers=headers,
            state=state,
            terminate=terminate,
        )

    def _of_cancel(self, ids: Iterable[str], queue: str | None) -> list[str]:
        """The queues where tasks are cancelled; none in eager mode."""
        for one in ids:
            check_task_id(one)
        if queue is not None:
            check_queue_name(queue)
        if self.eager:
            return []
        return [queue] if queue is not None else list(self._places())
