"""The inspector's code asked from a test: what is written once as coroutines, run in this thread or on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.sync import Broker
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.coroutines import complete
from taskflow.inspector import AsyncInspector, doctor
from taskflow.inspector.both import ThreadBroker


def examine(broker: Broker, queues: Sequence[str] = (), *, fix: bool = False) -> doctor.Diagnosis:
    """The doctor's examination, from a thread."""
    return complete(doctor.examine(ThreadBroker(broker), queues, fix=fix))


class OnALoop:
    """An `AsyncInspector` that is used like an `Inspector`: each call runs on an event loop of its own."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._broker = AsyncBroker(AsyncDriver(url))
        self._inspector = AsyncInspector(self._broker)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self._runner.run(getattr(self._inspector, name)(*args, **kwargs))

    def close(self) -> None:
        self._runner.run(self._broker.close())
        self._runner.close()
