"""What the children of a worker have in memory with and without `--preload`: `python -m benchmarks.preloading`.

Their app is a Django project with its admin. They run some thousand tasks each, and then it is counted what they have together,
with the process that forks them where there is one: PSS, in which a page that several have counts for each of them by its part.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from taskflow import TaskFlow

from ..processes import worker
from ..server import Server, running

SECONDS = 600.0


def children(worker: int) -> list[int]:
    """The processes that a worker has."""
    return [int(pid) for pid in Path(f"/proc/{worker}/task/{worker}/children").read_text().split()]


def pss(pid: int) -> float:
    """MiB of this process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def measured(server: Server, count: int, tasks: int, *, preload: bool) -> tuple[float, float]:
    """MiB of all children, and seconds until the last of them had started."""
    server.flush()
    app = TaskFlow("bench", broker=server.url)
    expected = count + preload
    options = [
        "-A",
        "benchmarks.preloading.app",
        "-b",
        server.url,
        "-P",
        "processes",
        "-c",
        str(count),
        "-l",
        "warning",
    ]
    options += ["--preload"] if preload else []
    began = time.monotonic()
    with contextlib.closing(app), worker(*options) as process:
        app.send("work", number=0)
        _wait(lambda: _done(server) == 1)
        seconds = time.monotonic() - began
        with app.batch():
            for number in range(1, tasks * count):
                app.send("work", number=number)
        _wait(lambda: _done(server) == tasks * count)
        pids = children(process.pid)
        if len(pids) != expected:
            raise click.ClickException(f"{len(pids)} processes in place of {expected}")
        return sum(map(pss, pids)), seconds


def _done(server: Server) -> int:
    """Tasks that have ended."""
    return int(server.client.get("asynq:{default}:processed") or 0)


def _wait(predicate: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not predicate():
        if time.monotonic() > deadline:
            raise click.ClickException("the tasks did not end in time")
        time.sleep(0.02)


@click.command()
@click.option("--children", "count", default=8, show_default=True, help="How many children.")
@click.option("--tasks", default=2000, show_default=True, help="That each runs, about.")
def main(count: int, tasks: int) -> None:
    """MiB of all children, started one by one and forked."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        for name, preload in (("without", False), ("with --preload", True)):
            size, seconds = measured(server, count, tasks, preload=preload)
            click.echo(
                f"{name}: {size:.0f} MiB together, {size / count:.0f} MiB a child, "
                f"first task done after {seconds:.1f} s"
            )


if __name__ == "__main__":
    main()
