"""`taskflow worker`: runs tasks."""

from __future__ import annotations

import sys

import click

from ..errors import AppNotFound
from ..pipe.frames import DEFAULT_MOST_MESSAGE, LARGEST_MOST_MESSAGE
from ..telemetry.logs import FORMATS, LEVELS
from ..worker.config import DEFAULT_CONCURRENCY, DEFAULT_GRACE, WorkerConfig, doubtful_queues, parse_queues
from ..worker.cores import usable_cores
from ..worker.launch import launch_all, outlive_early_signals
from .options import Target, target_options


@click.command("worker", context_settings={"help_option_names": ["-h", "--help"]})
@target_options
@click.option(
    "-Q",
    "--queues",
    multiple=True,
    metavar="NAME[=WEIGHT],...",
    help="Queues to serve, with weights.  [default: the queues of the app's tasks]",
)
@click.option(
    "-c",
    "--concurrency",
    type=str,
    default=str(DEFAULT_CONCURRENCY),
    show_default=True,
    metavar="N|auto",
    help="Tasks at once.",
)
@click.option(
    "-P",
    "--pool",
    type=click.Choice(["threads", "processes", "solo"]),
    default="threads",
    show_default=True,
    help="Threads of one process, a process each, or in this process.",
)
@click.option(
    "--processes", type=click.IntRange(1, 1024), default=1, show_default=True, help="How many such pools."
)
@click.option("--strict", is_flag=True, help="Serve queues strictly in the order of their weights.")
@click.option(
    "--grace",
    type=float,
    default=DEFAULT_GRACE,
    show_default=True,
    metavar="SECONDS",
    help="Time that running tasks get at a stop.",
)
@click.option("--burst", is_flag=True, help="Work until the queues are empty, then exit.")
@click.option(
    "--health-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Answer GET /healthz: 200 while all is well with the worker, else 503 and what is not.",
)
@click.option(
    "--health-host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Where to answer: 0.0.0.0 for a probe from outside a container.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Run nothing: say how your workers on this host are, of -A and -b where given. Exit code 1 if not all are well.",
)
@click.option(
    "-l", "--log-level", type=click.Choice(LEVELS, case_sensitive=False), default="info", show_default=True
)
@click.option("--log-format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "--max-message",
    type=click.IntRange(1024, LARGEST_MOST_MESSAGE),
    default=DEFAULT_MOST_MESSAGE,
    show_default=True,
    metavar="BYTES",
    help="Archive unread what is larger, and tasks that return more.",
)
@click.option(
    "--log-errors",
    is_flag=True,
    help="Log the texts of exceptions and lines of code too: they may hold arguments and secrets.",
)
def worker(
    target: Target,
    queues: tuple[str, ...],
    concurrency: str,
    pool: str,
    processes: int,
    strict: bool,
    grace: float,
    burst: bool,
    health_port: int | None,
    health_host: str,
    check: bool,
    log_level: str,
    log_format: str,
    log_errors: bool,
    max_message: int,
) -> None:
    """Run the tasks of an app.

    SIGTERM and SIGINT stop gracefully (a second one, and SIGQUIT, at once), SIGTSTP takes no more tasks, SIGCONT takes them
    again, SIGHUP restarts the child processes, SIGUSR1 and SIGTTIN write their stacks to the log.
    """
    if check:
        sys.exit(_check(target))
    if target.app is None:
        raise click.UsageError("which app? Name its module: taskflow worker -A module[:attribute]")
    config = WorkerConfig(
        app=target.app,
        queues=parse_queues(queues),
        doubtful=doubtful_queues(queues),
        strict=strict,
        concurrency=_concurrency(concurrency),
        pool=pool,  # type: ignore[arg-type]
        processes=processes,
        grace=grace,
        burst=burst,
        broker=target.broker,
        health_port=health_port,
        health_host=health_host,
        log_level=log_level.lower(),
        log_format=log_format,
        log_errors=log_errors,
        max_message=max_message,
    )
    outlive_early_signals()
    launched = launch_all(config)
    # Imported while the children import the app.
    from ..worker.main import run

    try:
        run(config, launched)
    except AppNotFound as error:
        if error.details:
            click.echo(error.details.rstrip(), err=True)
        raise


def _check(target: Target) -> int:
    """Print a line for each worker of the app and the broker on this host; 0 when there is one and all are well."""
    # Only here: a worker starts its children first, and what it does not need then delays them.
    from ..worker.health.check import check as check_workers

    found = check_workers(target.app, target.broker)
    for one in found:
        click.echo(
            f"worker {one.pid}: {'ok' if one.well else 'NOT OK'}, {one.text} "
            f"(-A {one.app} in {one.folder}, queues {_few(one.queues)}, {one.broker})"
        )
    if not found:
        of = f" of {target.app}" if target.app else ""
        on = " on this broker" if target.broker else ""
        click.echo(
            f"no worker{of}{on} of this user runs here; `taskflow worker --check` without -A and -b judges all there are",
            err=True,
        )
    return 0 if found and all(one.well for one in found) else 1


def _few(queues: tuple[str, ...]) -> str:
    shown = ", ".join(queues[:5])
    return shown + (f" and {len(queues) - 5} more" if len(queues) > 5 else "")


def _concurrency(text: str) -> int:
    if text == "auto":
        return usable_cores()
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise click.BadParameter(f"{text!r} is neither a number from 1 nor 'auto'", param_hint="-c")
    return int(text)
