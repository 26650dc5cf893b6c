"""Apps that pack what they send: `-A tests.packing.app:plain`, and likewise with a store, with keys, and with both."""

from __future__ import annotations

import asyncio
import math
import os
from datetime import datetime
from typing import Any

from taskflow import TaskFlow
from taskflow.stores import FolderStore

KEYS: dict[str, Any] = {
    "signing_keys": ["a-signing-key-of-tests"],
    "encryption_keys": ["an-encryption-key-of-tests"],
}
OVER = 2000


def text(data: str) -> str:
    return data


async def atext(data: str) -> str:
    await asyncio.sleep(0)
    return data


def size(data: str) -> int:
    return len(data)


def grow(data: str) -> str:
    return data * 2


def fail(data: str) -> None:
    raise ValueError("it failed")


def anything(value: Any) -> Any:
    return value


def typed(when: datetime, data: bytes, number: float = math.nan) -> bytes:
    assert when.tzinfo is not None
    assert math.isnan(number)
    return data


def make(store: bool, keys: bool) -> TaskFlow:
    folder = os.environ.get("TEST_STORE")
    app = TaskFlow(
        f"packing-{store}-{keys}",
        store=FolderStore(folder) if store and folder else None,
        store_over=OVER,
        queue=os.environ.get("TEST_QUEUE", "default"),
        retention=600,
        max_retries=0,
        **(KEYS if keys else {}),
    )
    for function in (text, atext, size, grow, fail):
        app.task(function)
    app.task(serializer="msgpack")(anything)
    app.task(serializer="msgpack")(typed)
    return app


plain, stored, sealed, both = (
    make(store, keys) for store, keys in ((False, False), (True, False), (False, True), (True, True))
)
APPS = {"plain": plain, "stored": stored, "sealed": sealed, "both": both}
