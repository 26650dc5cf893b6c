"""`self.request`: what Celery's tasks know of the attempt that is running, by Celery's names."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from socket import gethostname
from typing import Any

from ..options.refused import REQUEST
from .delivery import Delivery


class Request:
    """The facts about an attempt, by Celery's names. It never shows arguments when it is printed.

    Args:
        current: the running task (`CurrentTask`).
        delivery: how it came; None: the function was called.

    Attributes:
        id: the task's id; `correlation_id` is another name for it.
        task: the task's name.
        retries: how many attempts failed before this one.
        args: empty: arguments travel by name.
        kwargs: all arguments by name, as the function gets them.
        headers: what the caller put into `headers`; each is also an attribute.
        delivery_info: `routing_key` (the queue), `exchange` (""), `is_eager`.
        hostname: the machine that the worker runs on, as `taskflow@HOST`.
        timelimit: the hard and the soft limit in seconds; None where it is a plain call.
        expires: until when the first attempt had to start, in ISO format; None: no matter when, or this is another attempt.
        called_directly: whether no worker runs it: the function was called.
        is_eager: whether it runs where it was enqueued.
        utc: True.
    """

    utc = True
    lang = "py"

    def __init__(self, current: Any, delivery: Delivery | None) -> None:
        self.id = current.id
        self.correlation_id = current.id
        self.task = current.name
        self.retries = current.retried
        self.headers = current.headers
        self.called_directly = delivery is None
        self.is_eager = delivery is not None and delivery.eager
        self.args = Positional()
        self.kwargs = {} if delivery is None else dict(delivery.kwargs)
        self.timelimit = None if delivery is None else (delivery.hard_seconds, delivery.soft_seconds)
        self.delivery_info = DeliveryInfo(exchange="", routing_key=current.queue, is_eager=self.is_eager)
        self._expires_at_ms = 0 if delivery is None else delivery.expires_at_ms

    @property
    def hostname(self) -> str:
        """The machine that it runs on."""
        return f"taskflow@{gethostname()}"

    @property
    def expires(self) -> str | None:
        """Until when it had to start."""
        if not self._expires_at_ms:
            return None
        at = time.time() + self._expires_at_ms / 1000 - time.monotonic()
        return datetime.fromtimestamp(at, UTC).isoformat()

    def get(self, name: str, default: Any = None) -> Any:
        """One of the facts, or of the headers."""
        return getattr(self, name, default)

    def __getattr__(self, name: str) -> Any:
        headers: Mapping[str, str] = self.__dict__.get("headers", {})
        if name in headers:
            return headers[name]
        why = REQUEST.get(name, "it has the headers that the caller gave, and what docs/celery.md lists")
        raise AttributeError(f"self.request has no {name!r}: {why}")

    def __repr__(self) -> str:
        return f"<request of task {self.task} id={self.id} retries={self.retries}>"


class DeliveryInfo(dict[str, Any]):
    """How the task came. Celery's brokers say more than there is here."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(
            f"delivery_info has no {name!r}: it has exchange, routing_key (the queue) and is_eager; a task that was begun before "
            "and did not end looks like any other"
        )


class Positional(tuple[Any, ...]):
    """Positional arguments: there are none, since all travel by name."""

    __slots__ = ()

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return ()
        raise IndexError(
            "arguments travel by name, however the call was written: self.request.kwargs['name'], not self.request.args[0]"
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(())
