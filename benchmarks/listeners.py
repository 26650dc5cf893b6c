"""What a listener costs a child: `python -m benchmarks.listeners`. One that does nothing is to cost less than 2 us a task.

In one thread, without a broker and without a socket: messages of a task that does nothing go through the pipeline as a child's
threads put them through it, with nothing attached, and with one thing at a time. Rounds are taken in turn, so that what the
machine does besides hits all alike; what is said is the median of the differences.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

import click

from taskflow import CurrentTask, TaskFlow
from taskflow.events import Received, Started, Succeeded
from taskflow.message.task_message import TaskMessage
from taskflow.pipe.frames import Job
from taskflow.tasks.attempt import Attempt
from taskflow.tasks.in_thread import ThreadCall, nobody_awaits
from taskflow.tasks.limits import ThreadLimit
from taskflow.tasks.run import Pipeline

from .processes import awake

MOST = 2.0
"""Microseconds that one listener may cost."""


def nothing(app: TaskFlow) -> None:
    """Nobody listens."""


def one(app: TaskFlow) -> None:
    """Of how tasks end."""
    app.on(Succeeded)(lambda event: None)


def three(app: TaskFlow) -> None:
    """Of the receipt, the start and the end."""
    app.on(Received, Started, Succeeded)(lambda event: None)


def around(app: TaskFlow) -> None:
    """A generator function, and the running task that it is given."""

    @app.middleware
    def around(task: CurrentTask) -> Iterator[None]:
        yield


def run(app: TaskFlow) -> None:
    """A class with `run`."""

    @app.middleware(around="functions")
    def run(task: CurrentTask, next: Callable[[], Any]) -> Any:
        return next()


ATTACHED: dict[str, Callable[[TaskFlow], None]] = {
    "nothing": nothing,
    "one listener": one,
    "three listeners": three,
    "a middleware with `run`": run,
    "a generator as middleware": around,
}


def microseconds(attach: Callable[[TaskFlow], None], jobs: list[Job]) -> float:
    """How long one task takes a child's thread, with something attached."""
    app = TaskFlow("listeners", broker="redis://127.0.0.1:1")

    @app.task(name="noop")
    def noop(number: int) -> None: ...

    attach(app)
    pipeline = Pipeline(app.tasks, audience=app._audience)
    run, receive, ended = pipeline.run, pipeline.receive, pipeline.reporter.ended
    call = ThreadCall(nobody_awaits, ThreadLimit()).call
    began = time.thread_time()  # of the processor: the machine may have other work
    for job in jobs:
        attempt = receive(job)
        assert isinstance(attempt, Attempt)
        own = Context()
        ended(attempt, own.run(run, attempt, call), own)
    took = time.thread_time() - began
    for listener in list(app._listeners):
        app.off(listener)  # events are made as long as anybody in the process listens
    return took / len(jobs) * 1e6


def _job(number: int) -> Job:
    message = TaskMessage(type="noop", payload=b'{"number":7}', id=f"{number:08}", queue="q", timeout=60)
    return Job(number, "q", message.id.encode(), message.encode())


@click.command()
@click.option("--tasks", default=20_000, show_default=True, help="Of one round.")
@click.option("--rounds", default=7, show_default=True)
def main(tasks: int, rounds: int) -> None:
    """Microseconds a task; ends with 1 if one listener costs more than it may."""
    jobs = [_job(number) for number in range(tasks)]
    with awake(True):
        measured = [
            {name: microseconds(attach, jobs) for name, attach in ATTACHED.items()} for _ in range(rounds + 1)
        ][1:]
    bare = statistics.median(one["nothing"] for one in measured)
    click.echo(f"a task with nothing attached: {bare:.2f} us")
    more = {name: statistics.median(one[name] - one["nothing"] for one in measured) for name in ATTACHED}
    for name, cost in more.items():
        if name != "nothing":
            click.echo(f"{name}: {cost:+.2f} us")
    sys.exit(1 if more["one listener"] > MOST else 0)


if __name__ == "__main__":
    main()
