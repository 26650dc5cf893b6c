"""Connections to databases around tasks: what Django does around a request, and what a worker needs besides.

* Before and after a task those are closed that have failed, or are older than `CONN_MAX_AGE`. In eager mode, and in `.apply()`,
  they are the caller's, and stay as they are: a coroutine, too, uses that of whoever called it.
* A connection that was left in the middle of a transaction, because a limit has interrupted its end, is closed: what the next
  task does would never be committed.
* In the processes of a worker connections that stay open are tried before a task's first query (`CONN_HEALTH_CHECKS`), so that
  none fails because the database was restarted.
* The synchronous parts of a coroutine, so all of the async ORM, run in a thread of that task alone (see `threads`); those that
  `asyncio.to_thread` runs are looked after, too.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync
from django.core.cache import caches
from django.db import Error, connections, reset_queries

from taskflow import CurrentTask, TaskFlow

from . import making
from .threads import thread_of_a_task

_imported_in = os.getpid()


def attach(app: TaskFlow) -> None:
    """Look after the connections of the app's tasks."""
    app.middleware(Connections())
    app.run_coroutines_with(async_to_sync)
    app.on_child_start(start_child)
    app.on_child_stop(stop_child)


class Connections:
    """What is around each task."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, task: CurrentTask, next: Callable[[], Any]) -> Any:
        """Around a function."""
        with looked_after(task):
            return next()

    async def arun(self, task: CurrentTask, next: Callable[[], Awaitable[Any]]) -> Any:
        """Around a coroutine function."""
        if self._loop is None and _is_a_workers_own():
            self._loop = asyncio.get_running_loop()
            if getattr(self._loop, "_default_executor", None) is None:
                self._loop.set_default_executor(Threads(thread_name_prefix="asyncio"))
        with looked_after(task):
            return await next()


@contextmanager
def looked_after(task: CurrentTask) -> Iterator[None]:
    """Close what is broken or outdated, before the task and after it."""
    if task.request.is_eager:
        yield
        return
    close_connections()
    try:
        with thread_of_a_task(close_connections):
            yield
    finally:
        close_connections()


def close_connections() -> None:
    """Close those of this thread that cannot be used, or not any longer, and let go of caches."""
    reset_queries()
    for connection in connections.all(initialized_only=True):
        try:
            if connection.in_atomic_block:
                connection.close()
                del connections[connection.alias]
            else:
                connection.close_if_unusable_or_obsolete()
        except Error:
            # It is broken in a way that even its end fails. Without it there will be a new one.
            del connections[connection.alias]
    caches.close_all()


class Threads(ThreadPoolExecutor):
    """Where an event loop runs what is not to hold it up, as `asyncio.to_thread` does: connections made there are closed."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in one of them."""

        def call() -> Any:
            try:
                return function(*args, **kwargs)
            finally:
                close_connections()

        return super().submit(call)


def start_child() -> None:
    """Nothing that was opened while the app was imported is used in tasks: with `--preload` it is shared with all children."""
    if not _is_a_workers_own():
        return
    for connection in connections.all(initialized_only=True):
        if os.getpid() == _imported_in:
            connection.close()
        del connections[connection.alias]
    if making.current_settings().health_checks:
        for database in connections.settings.values():
            database["CONN_HEALTH_CHECKS"] = True


def stop_child() -> None:
    """End the pools of connections, whose threads would be waited for."""
    if not _is_a_workers_own():
        return
    for connection in connections.all():
        if getattr(connection, "pool", None) is not None:
            connection.close_pool()


def _is_a_workers_own() -> bool:
    """Whether nothing but a worker's tasks runs in this process; a program may have a worker in it."""
    return "TASKFLOW_WORKER" in os.environ
