"""What an app wants to have done when its child starts and stops, and what the worker tells of itself."""

from __future__ import annotations

import inspect
import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import msgspec

from ..pipe import frames
from ..tasks.app import TaskFlow
from ..tasks.app_hooks import Moment
from ..telemetry.events import Event, WorkerStarted, WorkerStopping
from ..telemetry.telling import emit_to, family, hears, say_failed
from ..telemetry.traces import kind_of

OnLoop = Callable[[Any], Any]
"""Awaits something on the child's event loop, for a thread."""


class Lifecycle:
    """Calls the hooks of an app in one child, and makes and closes its resources.

    Args:
        app: the app.
        on_loop: see `OnLoop`.
    """

    def __init__(self, app: TaskFlow, on_loop: OnLoop) -> None:
        self._app = app
        self._on_loop = on_loop
        self._told: SimpleQueue[list[tuple[str, dict[str, Any]]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._kinds: dict[str, type[Event]] = {}

    def hears(self) -> list[str]:
        """What of the worker's events the app wants to hear, by name."""
        wanted = {kind for kind in hears(self._app._audience) if "worker" in kind.told_in}
        for moment, kind in ((Moment.WORKER_START, WorkerStarted), (Moment.WORKER_STOP, WorkerStopping)):
            if moment in self._app._process_hooks:
                wanted.add(kind)
        return sorted(kind.__name__ for kind in wanted)

    def start(self) -> frames.ImportFailed | None:
        """Make what is to be there before the first task, and call the hooks; or what the worker is told when one fails."""
        what = "a resource with start=True"
        try:
            if self._app._lifespan is not None:
                self._app._lifespan.start(self._on_loop)
            for hook in self._app._process_hooks.get(Moment.CHILD_START, ()):
                what = f"@app.{Moment.CHILD_START.value}: {_name(hook)}"
                self._call(hook)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the worker hears of it, and the child ends
            if not self._app._error_text:
                return frames.ImportFailed(f"{what} failed: {kind_of(error)}")
            steps = traceback.TracebackException.from_exception(error)
            steps.stack[:] = [frame for frame in steps.stack if frame.filename != __file__]
            return frames.ImportFailed(f"{what} failed: {kind_of(error)}: {error}", "".join(steps.format()))
        return None

    def told(self, items: list[tuple[str, dict[str, Any]]]) -> None:
        """The worker tells what has happened; from the reader's thread, which does not wait for whoever listens."""
        if self._thread is None:
            self._kinds = {kind.__name__: kind for kind in family(Event)}
            self._thread = threading.Thread(target=self._listen, name="taskflow-hooks", daemon=True)
            self._thread.start()
        self._told.put(items)

    def stop(self) -> None:
        """Hear what the worker has told, call the hooks of the stop, and close resources. Nothing that is raised gets out."""
        if self._thread is not None:
            self._told.put(None)
            self._thread.join()
        self._call_all(Moment.CHILD_STOP)
        if self._app._lifespan is not None:
            self._app._lifespan.close(self._on_loop)

    def _listen(self) -> None:
        while (items := self._told.get()) is not None:
            for name, fields in items:
                event = msgspec.convert(fields, self._kinds[name])
                if isinstance(event, WorkerStarted):
                    self._call_all(Moment.WORKER_START)
                elif isinstance(event, WorkerStopping) and not event.again:
                    self._call_all(Moment.WORKER_STOP)
                emit_to(self._app._audience, event)

    def _call_all(self, moment: Moment) -> None:
        hooks = self._app._process_hooks.get(moment, [])
        for hook in hooks[::-1] if moment in (Moment.CHILD_STOP, Moment.WORKER_STOP) else hooks:
            try:
                self._call(hook)
            except BaseException as error:  # noqa: BLE001 - the others are called, and the process goes on, or ends, all the same
                say_failed(f"The hook {_name(hook)}", f"@app.{moment.value}", error)

    def _call(self, hook: Callable[[], Any]) -> None:
        value = hook()
        if inspect.iscoroutine(value):
            self._on_loop(value)


def _name(hook: Callable[[], Any]) -> str:
    return str(getattr(hook, "__qualname__", type(hook).__qualname__))
