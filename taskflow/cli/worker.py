"""`taskflow worker`: runs tasks."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import click
from click.core import ParameterSource

from ..connection.lean import keep_redis_lean
from ..errors import AppNotFound, ConfigurationError
from ..pipe.frames import DEFAULT_MOST_MESSAGE, LARGEST_MOST_MESSAGE
from ..telemetry.logs import FORMATS, LEVELS
from ..worker.config import DEFAULT_CONCURRENCY, DEFAULT_GRACE, WorkerConfig, doubtful_queues, parse_queues
from ..worker.launch import launch_all, outlive_early_signals
from . import worker_numbers
from .options import Target, target_options


class WorkerCommand(click.Command):
    """The command, which also takes the words that other tools have for its options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            # Only here: a command that is written in our words starts without it.
            from .words import WORKER, rewritten

            if (other := rewritten(self, WORKER, given)) == given:
                raise
        return super().parse_args(ctx, other)


@click.command("worker", cls=WorkerCommand, context_settings={"help_option_names": ["-h", "--help"]})
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
@click.option(
    "--beside",
    type=click.IntRange(1, 4000),
    metavar="N",
    help="Tasks at once of those that ask for the other pool.  [default: processes: the cores; threads: 20]",
)
@click.option(
    "--autoscale",
    metavar="MOST,LEAST",
    help="Instead of -c: LEAST tasks at once, up to MOST while tasks wait.",
)
@click.option(
    "--max-tasks-per-child",
    type=click.IntRange(min=1),
    metavar="N",
    help="Replace a child process after so many tasks.",
)
@click.option(
    "--max-memory-per-child",
    metavar="SIZE",
    help="Replace a child process with more memory than this: 300M, 2G; a bare number is KiB.",
)
@click.option(
    "--preload",
    is_flag=True,
    help="Import the app once and fork the children from there: they share its memory.",
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
@click.option(
    "-r",
    "--reload",
    "reloads",
    is_flag=True,
    help="For development: replace the children when Python code changes.",
)
@click.option(
    "--reload-dir",
    "reload_dirs",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Where to look for changes; may be repeated.  [default: the current directory]",
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
    beside: int | None,
    autoscale: str | None,
    max_tasks_per_child: int | None,
    max_memory_per_child: str | None,
    preload: bool,
    strict: bool,
    grace: float,
    reloads: bool,
    reload_dirs: tuple[str, ...],
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
    again, SIGHUP replaces the child processes, SIGUSR2 one by one, SIGUSR1 and SIGTTIN write their stacks to the log.
    """
    if check:
        sys.exit(_check(target))
    if target.app is None:
        raise click.UsageError(
            "which app? Name its module: taskflow worker -A module[:attribute], or TASKFLOW_APP"
        )
    most, least = worker_numbers.concurrency(concurrency), None
    if autoscale is not None:
        _refuse_both()
        most, least = worker_numbers.autoscale(autoscale)
    config = WorkerConfig(
        app=target.app,
        queues=parse_queues(queues),
        doubtful=doubtful_queues(queues),
        strict=strict,
        concurrency=most,
        least_concurrency=least,
        beside=beside,
        max_tasks_per_child=max_tasks_per_child or 0,
        max_memory_per_child=worker_numbers.memory(max_memory_per_child) if max_memory_per_child else 0,
        preload=preload,
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
        reload=_reload(reloads, reload_dirs),
    )
    outlive_early_signals()
    launched = launch_all(config)
    if config.pool != "solo":  # whose tasks run in this process
        keep_redis_lean()
    # Imported while the children import the app.
    from ..worker.main import run

    try:
        run(config, launched)
    except AppNotFound as error:
        if error.details:
            click.echo(error.details.rstrip(), err=True)
        raise


def _reload(wanted: bool, folders: tuple[str, ...]) -> tuple[str, ...]:
    """The folders to watch; none where that is not wanted."""
    if not wanted and not folders:
        return ()
    if find_spec("watchfiles") is None:
        raise ConfigurationError(
            "--reload needs watchfiles; install it with the extra `reload`: pip install 'taskflow-queue[reload]'"
        )
    return tuple(os.path.abspath(folder) for folder in folders or (".",))


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


def _refuse_both() -> None:
    """Two options that say how many tasks run at once."""
    source = click.get_current_context().get_parameter_source("concurrency")
    if source is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "-c and --autoscale both say how many tasks run at once: leave one of them out"
        )
