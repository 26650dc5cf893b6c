"""Planted leaks: what the soak is there to find, so that it can be shown to find it."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .settings import Settings

SITE = Path(__file__).parent / "site"


def plant(settings: Settings) -> None:
    """Make this process have the leaks that the settings name."""
    for leak in settings.leak.split(","):
        PLANTS[leak](settings.leak_bytes)


def _in_the_worker(size: int) -> None:
    """Each verdict leaves some bytes behind."""
    from taskflow.worker.holding.acker import Acker

    kept = bytearray()
    # Those of tasks that are simply done come by themselves.
    for name in ("add", "add_done"):
        _before(Acker, name, lambda _, verdicts: kept.extend(bytes(size * len(verdicts))))


def _in_the_child(size: int) -> None:
    """Each task leaves some bytes behind."""
    from taskflow.tasks.run import Pipeline

    kept = bytearray()
    _before(Pipeline, "receive", lambda *_: kept.extend(bytes(size)))


def _files(_: int) -> None:
    """Each new connection of a worker leaves an open file behind."""
    from taskflow.connection.aio import AsyncDriver

    _before(AsyncDriver, "_new", lambda *_: os.dup(2))


def _threads(_: int) -> None:
    """Each new connection of a worker leaves a thread behind."""
    from taskflow.connection.aio import AsyncDriver

    def start(*_: object) -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    _before(AsyncDriver, "_new", start)


def _keys(_: int) -> None:
    """Each failure leaves a key behind."""
    import redis

    from taskflow.pipe.frames import BROKER_VARIABLE
    from taskflow.tasks.run import Pipeline

    def write(*_: object) -> None:
        # It may be cut, too.
        with (
            contextlib.suppress(redis.RedisError),
            redis.Redis.from_url(os.environ[BROKER_VARIABLE]) as client,
        ):
            client.set(f"left-behind-{uuid.uuid4()}", 1)

    _before(Pipeline, "fail", write)


PLANTS: dict[str, Callable[[int], None]] = {
    "worker": _in_the_worker,
    "child": _in_the_child,
    "files": _files,
    "threads": _threads,
    "keys": _keys,
}


def _before(owner: type, name: str, act: Callable[..., object]) -> None:
    """Let `act` see the arguments of each call of a method before it is made."""
    method = getattr(owner, name)

    def both(*arguments: Any, **keywords: Any) -> Any:
        act(*arguments, **keywords)
        return method(*arguments, **keywords)

    setattr(owner, name, both)
