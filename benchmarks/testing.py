"""What the private server of tests costs, and how long a user's hundred tests take: `python -m benchmarks.testing`.

These are the figures of docs/testing.md; `tests/harness/test_testing_costs.py` runs the small form.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click

from benchmarks.machine import look
from taskflow import TaskFlow, embedded
from taskflow.testing import WorkerThread, advance, drain, sandbox
from taskflow.testing.servers import Kind, PrivateServers, servers

KINDS: tuple[Kind, ...] = ("server", "cluster")
EXAMPLE = Path(__file__).parents[1] / "examples" / "testing_app"

app = TaskFlow("costs", retention=60)


@app.task
def add(left: int, right: int) -> int:
    return left + right


def milliseconds(act: Callable[[], object], rounds: int) -> float:
    """The median of how long it takes."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        found.append(time.perf_counter() - began)
    return 1000 * median(found)


def start_and_stop(kind: Kind, rounds: int) -> tuple[float, float, float]:
    """Milliseconds to start a server or a cluster, and to stop it; MB of its memory."""
    starts, stops, memory = [], [], 0.0
    for _ in range(rounds):
        own = PrivateServers()
        starts.append(milliseconds(lambda own=own: own.broker(kind), 1))  # type: ignore[misc]
        folder = own._own_folder()
        nodes = embedded.status(embedded.EmbeddedConfig(folder / kind)).nodes
        memory = sum(resident(node.pid or 0) for node in nodes)
        stops.append(milliseconds(own.stop, 1))
    return median(starts), median(stops), memory


def resident(pid: int) -> float:
    """Memory of a process, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def isolation(rounds: int) -> float:
    """Milliseconds for which a test that does nothing has a sandbox."""

    def empty() -> None:
        with sandbox():
            pass

    empty()
    return milliseconds(empty, rounds)


def one_test(rounds: int) -> float:
    """The same of one that enqueues, runs its task and reads the result, with connections of its own."""

    def test() -> None:
        with sandbox():
            handle = add.delay(1, 2)
            drain()
            assert handle.get() == 3

    test()
    return milliseconds(test, rounds)


def a_day(rounds: int) -> float:
    """Milliseconds of `advance(86400)` with ten tasks that wait for it."""
    with sandbox():
        found = []
        for _ in range(rounds):
            add.options(delay=86_400).map([(n, n) for n in range(10)])
            found.append(milliseconds(lambda: advance(86_400), 1))
            assert len(drain()) == 10
    return median(found)


def eager(rounds: int) -> float:
    """Microseconds of an eager call, as the least that a broker in memory could cost."""
    with sandbox("eager"):
        return 1000 * milliseconds(lambda: add.delay(1, 2).get(), rounds)


def a_worker(rounds: int) -> tuple[float, float]:
    """Milliseconds until a worker in a thread takes tasks, and to end it."""
    with sandbox() as box:
        starts, stops = [], []
        for _ in range(rounds):
            starts.append(milliseconds(lambda: workers.append(box.worker(app)), 1))
            assert add.delay(1, 2).get(20) == 3
            stops.append(milliseconds(workers.pop().stop, 1))
    return median(starts), median(stops)


workers: list[WorkerThread] = []


def hundred(*options: str) -> tuple[float, str]:
    """Seconds of a user's hundred tests, as their shell counts them, and what pytest says at the end."""
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        for _ in range(2):  # the first compiles, as it is after an installation
            began = time.perf_counter()
            done = subprocess.run(command, cwd=EXAMPLE, env=environment, capture_output=True, text=True)
            seconds = time.perf_counter() - began
    return seconds, done.stdout.strip().splitlines()[-1]


@click.command()
@click.option("--rounds", default=30, show_default=True, help="Of each figure; it is their median.")
@click.option("--suite/--no-suite", default=True, help="Also run the hundred tests.")
def main(rounds: int, suite: bool) -> None:
    """Print the figures of docs/testing.md."""
    machine = look()
    click.echo(
        f"{machine.date}, {machine.processor}, {machine.cores} cores, load {machine.load:.1f}, Python {machine.python}"
    )
    for kind in KINDS if suite else KINDS[:1]:
        start, stop, memory = start_and_stop(kind, max(rounds // 6, 2))
        click.echo(f"the {kind}: started in {start:.0f} ms, stopped in {stop:.0f} ms, {memory:.1f} MB")
    click.echo(f"a sandbox for a test that does nothing: {isolation(rounds):.2f} ms")
    click.echo(f"a test that enqueues, drains and reads a result: {one_test(rounds):.2f} ms")
    click.echo(f"advance(86400), ten tasks wait: {a_day(rounds):.2f} ms")
    click.echo(f"an eager call and its result: {eager(rounds):.0f} µs")
    begun, ended = a_worker(max(rounds // 6, 2))
    click.echo(f"a worker in a thread: takes tasks after {begun:.0f} ms, has ended after {ended:.0f} ms")
    servers.stop()
    if suite:
        for options in ((), ("-n", "2")):
            seconds, said = hundred("-p", "randomly", *options)
            click.echo(f"a hundred tests, pytest {' '.join(options)}: {seconds:.1f} s ({said})")


if __name__ == "__main__":
    main()
