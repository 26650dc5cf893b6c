"""Interrupts tasks in blocking calls, each followed by one that is not meant: `python -m benchmarks.interrupts`."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from taskflow.errors import TaskFlowError

from ..processes import worker
from ..server import running

LIMIT = 1
"""Seconds of the soft limit."""


@click.command()
@click.option("--times", default=100, show_default=True, help="Of each: soft limit and cancel.")
def main(times: int) -> None:
    """Say how long each took, and how often the next task was hit."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        ledger = Path(folder, "ledger")
        ledger.touch()
        os.environ |= {"INTERRUPTS_BROKER": server.url, "INTERRUPTS_LEDGER": str(ledger)}
        # Here, since it looks at these two when it is imported.
        from .app import app, block, follow

        options = [
            "-A",
            "benchmarks.interrupts.app",
            "-b",
            server.url,
            "-P",
            "processes",
            "-c",
            "1",
            "-l",
            "critical",
        ]
        took: dict[str, list[float]] = {"soft limit": [], "cancel": []}
        hits = 0
        with worker(*options):
            for number in range(2 * times):
                how = ("soft limit", "cancel")[number % 2]
                timeout = LIMIT if how == "soft limit" else 30
                handle = block.options(timeout=timeout).delay(number, ("sleep", "recv")[number // 2 % 2])
                following = follow.delay(number)
                at = float(found(ledger, "start", number)[2])
                if how == "cancel":
                    time.sleep(0.03)
                    at = time.time()
                    handle.cancel()
                raised = found(ledger, "raised", number)
                took[how].append(float(raised[2]) - at)
                expected = {"soft limit": "TaskTimeout", "cancel": "TaskCancelled"}[how]
                assert raised[3] == expected, raised
                try:
                    following.get(30)
                except TaskFlowError:
                    hits += 1
        app.close()
    for how, seconds in took.items():
        click.echo(f"{how}: median {statistics.median(seconds):.3f} s, most {max(seconds):.3f} s of {times}")
    click.echo(f"the next task was hit {hits} times of {2 * times}")


def found(ledger: Path, event: str, number: int) -> Any:
    """Wait for a line of the tasks."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in ledger.read_text().splitlines():
            words = line.split()
            if words[:2] == [event, str(number)]:
                return words
        time.sleep(0.002)
    raise TimeoutError(f"no {event} of task {number}")


if __name__ == "__main__":
    main()
