"""Whether a limit of time is kept: `python -m benchmarks.deadlines` tries every limit against everybody who says nothing.

The everyday suite has the short ones (`tests/connection/test_deadlines.py`).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack

import click
import pytest

from taskflow import TaskFlow
from taskflow.errors import BrokerUnavailable
from tests.silence import BlackHole, Mute, names

BROKERS = {
    "one server": "redis://{}",
    "one server, TLS": "rediss://{}",
    "cluster": "redis+cluster://{0},{0}",
    "Sentinel": "redis+sentinel://{}/main",
}
SILENT = ("drops SYNs", "accepts and says nothing", "slow resolver")

_numbers = itertools.count()


def in_a_thread(url: str, limit: float) -> None:
    """One `.delay()`."""
    app = TaskFlow("deadlines", broker=url, enqueue_timeout=limit)
    try:
        app.task(name="t")(lambda: None).delay()
    finally:
        app.close()


def in_a_loop(url: str, limit: float) -> None:
    """One `.adelay()`, with the start and the end of its event loop."""

    async def call() -> None:
        app = TaskFlow("deadlines", broker=url, enqueue_timeout=limit)
        try:
            await app.task(name="t")(lambda: None).adelay()
        finally:
            await app.aclose()

    asyncio.run(call())


CALLS: dict[str, Callable[[str, float], None]] = {"delay": in_a_thread, "adelay": in_a_loop}


def took(call: Callable[[str, float], None], url: str, silent: str, limit: float) -> float:
    """Seconds that a call takes which nobody answers."""
    with ExitStack() as stack:
        if silent == "slow resolver":
            host = f"slow{next(_numbers)}.test"
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            stack.enter_context(names(patch, {host: ["127.0.0.1"]}, silent=True))
            where = f"{host}:6379"
        else:
            kind = BlackHole if silent == "drops SYNs" else Mute
            where = f"127.0.0.1:{stack.enter_context(kind()).port}"
        began = time.monotonic()
        try:
            call(url.format(where), limit)
        except BrokerUnavailable:
            return time.monotonic() - began
    raise AssertionError("it was answered")


@click.command()
@click.option("--limits", default="0.5,1,5,30", show_default=True, help="Seconds, with commas.")
def main(limits: str) -> None:
    """Print how long each call took, and end with 1 if one took more than a tenth over its limit, and 0.1 s."""
    late = 0
    for call in CALLS.values():
        took(call, BROKERS["one server"], SILENT[0], 0.1)  # the first call of a process imports what it needs
    columns = [float(limit) for limit in limits.split(",")]
    click.echo(
        "| broker | who says nothing | call | " + " | ".join(f"{limit:g} s" for limit in columns) + " |"
    )
    click.echo("|---|---|---|" + "---|" * len(columns))
    for broker, silent, name in itertools.product(BROKERS, SILENT, CALLS):
        row = []
        for limit in columns:
            seconds = took(CALLS[name], BROKERS[broker], silent, limit)
            late += seconds > limit * 1.1 + 0.1
            row.append(f"{seconds:.2f}")
        click.echo(f"| {broker} | {silent} | `{name}` | " + " | ".join(row) + " |")
    raise SystemExit(1 if late else 0)


if __name__ == "__main__":
    main()
