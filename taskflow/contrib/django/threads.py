"""A thread for the synchronous parts of one task: where `sync_to_async`, and with it the async ORM, runs.

asgiref has one such thread for a whole process, unless whoever runs coroutines says otherwise, as Django does for each request.
In a worker a slow query of one coroutine would hold up all the others, and the connections of that thread would be nobody's to
look after. So each task has its own while it runs. Threads are used again: with `CONN_MAX_AGE` their connections are, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

MOST_SPARE = 32
"""Threads that are kept for the next tasks."""

_spare: list[ThreadPoolExecutor] = []
_lock = threading.Lock()


@contextmanager
def thread_of_a_task(after: Callable[[], None]) -> Iterator[None]:
    """Have the synchronous parts of what runs here, in this context, run in a thread of its own, taken when the first comes.

    Args:
        after: called in that thread when all is over. Nobody waits for it: on an event loop others would.
    """
    context, own = ThreadSensitiveContext(), Thread(after)
    token = SyncToAsync.thread_sensitive_context.set(context)
    SyncToAsync.context_to_thread_executor[context] = own
    try:
        yield
    finally:
        SyncToAsync.thread_sensitive_context.reset(token)
        SyncToAsync.context_to_thread_executor.pop(context, None)
        own.shutdown(wait=False)


class Thread(Executor):
    """A thread that is taken from the spare ones at the first call, and given back when what it was asked for is done.

    Args:
        after: called in it at the end.
    """

    def __init__(self, after: Callable[[], None]) -> None:
        self._after = after
        self._one: ThreadPoolExecutor | None = None

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have it call this, after what it was given before."""
        if self._one is None:
            with _lock:
                self._one = _spare.pop() if _spare else None
            self._one = self._one or ThreadPoolExecutor(1, "taskflow-django")
        return self._one.submit(function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Give it back, once it has come to an end: a query of a task that was cancelled may still run."""
        one, self._one = self._one, None
        if one is not None:
            with suppress(RuntimeError):  # the process ends, and all threads with it
                one.submit(self._after).add_done_callback(lambda _: _give_back(one))


def _give_back(one: ThreadPoolExecutor) -> None:
    with _lock:
        if len(_spare) < MOST_SPARE:
            _spare.append(one)
            return
    one.shutdown(wait=False)
