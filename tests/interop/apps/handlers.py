"""The tasks of the interoperability tests: `build` makes the app for a test, `app` is the worker's."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tenacity import wait_fixed

from taskflow import TaskFlow
from tests.interop.apps.runs import note


def build(broker: str | None = None) -> TaskFlow:
    """The app on this broker; the worker gets its broker on the command line."""
    app = TaskFlow("interop", broker=broker)

    @app.task(name="record")
    def record(**fields: Any) -> dict[str, Any]:
        """Takes any JSON object and returns it."""
        note(**fields)
        return fields

    @app.task(name="typed")
    def typed(text: str, ratio: float = 1.0, count: int = 0) -> str:
        note(text=text, ratio=ratio, count=count)
        return f"{text}:{ratio}:{count}"

    @app.task(name="nothing")
    def nothing() -> None:
        note()

    @app.task(name="measure")
    def measure(text: str) -> int:
        note(size=len(text))
        return len(text)

    @app.task(name="fail")
    def fail(text: str = "boom", go: str = "fail") -> None:
        """Fails as the Go peer does with the payload `{"go":"fail"}`."""
        note(text=text, go=go)
        raise ValueError(text)

    @app.task(name="flaky", wait=wait_fixed(0))
    def flaky(failures: int) -> int:
        """Fails so many times, and then says how often it has."""
        retried: int = note()["retried"]
        if retried < failures:
            raise OSError(f"failure {retried + 1}")
        return retried

    @app.task(name="slow")
    def slow(seconds: float, go: str = "ok") -> str:
        """Can be interrupted, since it never waits long in one call. `go` is for the Go peer."""
        note(go=go)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.02)
        return "slept"

    @app.task(name="slow_async")
    async def slow_async(seconds: float) -> str:
        note()
        await asyncio.sleep(seconds)
        return "slept"

    @app.task(name="shared")
    def shared(go: str = "ok", number: int = 0) -> None:
        """Behaves as the Go peer does with the same payload: `ok`, or `sleep:<milliseconds>`."""
        note(number=number)
        verb, _, milliseconds = go.partition(":")
        if verb == "sleep":
            time.sleep(int(milliseconds) / 1000)

    @app.task(name="for:go")
    def for_go(go: str = "ok", **more: Any) -> Any:
        """What the Go peer runs; the tests never let Python have it."""
        raise AssertionError("this task is for Go")

    return app


app = build()
