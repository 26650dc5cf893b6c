"""What users test their own code with: a private server for each test, what was enqueued, and a clock. See docs/testing.md.

Example:
    >>> from taskflow.testing import assert_enqueued, drain, sandbox
    >>> with sandbox():                                             # doctest: +SKIP
    ...     sign_up("ann")
    ...     assert_enqueued(welcome, "ann")
    ...     drain()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calls import EnqueuedTask, assert_enqueued, assert_nothing_enqueued, enqueued
    from .clock import Clock, advance, freeze
    from .draining import adrain, drain
    from .isolation import Sandbox, sandbox
    from .report import Attempted, Drained
    from .worker_process import WorkerProcess
    from .worker_thread import WorkerThread

__all__ = [
    "Attempted",
    "Clock",
    "Drained",
    "EnqueuedTask",
    "Sandbox",
    "WorkerProcess",
    "WorkerThread",
    "adrain",
    "advance",
    "assert_enqueued",
    "assert_nothing_enqueued",
    "drain",
    "enqueued",
    "freeze",
    "sandbox",
]

_HOMES = {
    "Attempted": "report",
    "Clock": "clock",
    "Drained": "report",
    "EnqueuedTask": "calls",
    "Sandbox": "isolation",
    "WorkerProcess": "worker_process",
    "WorkerThread": "worker_thread",
    "adrain": "draining",
    "advance": "clock",
    "assert_enqueued": "calls",
    "assert_nothing_enqueued": "calls",
    "drain": "draining",
    "enqueued": "calls",
    "freeze": "clock",
    "sandbox": "isolation",
}
"""The modules of the names. pytest imports this package in every run, also where nobody uses it."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
