"""What it costs the server that a running task says how far it is: `python -m benchmarks.reports`.

A task says so a few times, and another one very often, over the same time; each says a line with it, if asked to. Meanwhile
the calls of the script that writes reports are counted, with all other commands and the server's processor time. An idle worker,
which looks for tasks all the time, is measured for as long before them, and taken off. The end is 1 if the talkative task costs
more calls than the quiet one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from .processes import worker
from .server import Server, running

APP = """
import time
from taskflow import TaskFlow, current_task

app = TaskFlow("reports", retention=600)

@app.task(queue="talk", timeout=3600)
def talk(times: int, seconds: float, lines: bool) -> float:
    task, began, busy = current_task(), time.monotonic(), time.thread_time()
    for number in range(1, times + 1):
        task.progress(number, times, "on its way")
        if lines:
            task.log(f"line {number} of {times}, with some words in it")
        if (ahead := number * seconds / times - (time.monotonic() - began)) > 0.002:
            time.sleep(ahead)
    return time.thread_time() - busy
"""


@dataclass(frozen=True)
class Cost:
    """What the server has done meanwhile."""

    reports: int
    commands: int
    cpu_seconds: float


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="Of each task.")
@click.option("--few", default=100, show_default=True, help="Reports of the quiet task.")
@click.option("--many", default=100_000, show_default=True, help="Reports of the talkative one.")
@click.option("--lines", is_flag=True, help="Say a line with each report.")
def main(seconds: float, few: int, many: int, lines: bool) -> None:
    """Commands and processor time of the server: a task that reports now and then, and one that reports all the time."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        Path(folder, "reports_app.py").write_text(APP)
        sys.path.insert(0, folder)
        os.environ["TASKFLOW_BROKER"] = server.url
        with worker("-A", "reports_app", "-c", "1", "--log-level", "error", folder=Path(folder)):
            costs = _measured(server, seconds, (few, many), lines)
    idle, quiet, talkative = costs
    for name, times, cost in (("quiet", few, quiet), ("talkative", many, talkative)):
        own = cost.cpu_seconds - idle.cpu_seconds
        click.echo(
            f"{name}: {times:,} reports in {seconds:g} s: {cost.reports} calls that write them, "
            f"{cost.commands - idle.commands} commands and {own * 1000:.0f} ms of the server over an idle worker's"
        )
    ratio = talkative.cpu_seconds / quiet.cpu_seconds
    click.echo(
        f"talkative/quiet: calls {talkative.reports / quiet.reports:.2f}, processor time with the worker's own {ratio:.2f} "
        f"(an idle worker: {idle.commands} commands, {idle.cpu_seconds * 1000:.0f} ms)"
    )
    sys.exit(1 if talkative.reports > quiet.reports else 0)


def _measured(server: Server, seconds: float, counts: tuple[int, int], lines: bool) -> list[Cost]:
    import reports_app  # type: ignore[import-not-found]  # just written

    talk = reports_app.talk
    talk.delay(1, 0.0, lines).get(60)  # the worker is there, and all scripts are known
    before = _now(server)
    time.sleep(seconds)
    costs = [_difference(before, _now(server))]
    for times in counts:
        before = _now(server)
        handle = talk.delay(times, seconds, lines)
        time.sleep(seconds)
        while not handle.ready():
            time.sleep(0.1)
        costs.append(_difference(before, _now(server)))
        click.echo(
            f"the task itself: {handle.get() * 1e6 / times:.2f} us of its thread for each of {times:,}"
        )
    reports_app.app.close()
    return costs


def _now(server: Server) -> Cost:
    stats = server.client.info("commandstats")
    commands = sum(facts["calls"] for facts in stats.values())
    # Nothing else tells those who watch, but for the verdict on a task that is kept: one.
    return Cost(stats.get("cmdstat_spublish", {"calls": 0})["calls"], commands, server.cpu_seconds())


def _difference(before: Cost, after: Cost) -> Cost:
    return Cost(
        after.reports - before.reports,
        after.commands - before.commands,
        after.cpu_seconds - before.cpu_seconds,
    )


if __name__ == "__main__":
    main()
