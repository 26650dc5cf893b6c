"""Runs a worker: what its signals do, and the event loop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..telemetry.lines import lines
from ..telemetry.logs import setup
from .config import WorkerConfig
from .launch import Launched, ignore_late_signals
from .solo import run_solo
from .worker import Worker

if TYPE_CHECKING:
    from .reloading import Watcher

logger = logging.getLogger("taskflow.worker")

UNUSED = (signal.SIGTTOU, signal.SIGALRM, signal.SIGIO)
"""Signals that mean something elsewhere, or come by mistake. Their default would end or stop a worker that holds tasks."""


def run(config: WorkerConfig, launched: Sequence[Launched] = ()) -> None:
    """Run a worker until a signal ends it.

    Args:
        config: how it runs.
        launched: its children, where they were started before this module was imported (`launch.launch_all`).

    Raises:
        AppNotFound: the app cannot be imported.
        BrokerUnavailable: the broker cannot be reached at the start.
    """
    setup(config.log_level, config.log_format, errors=config.log_errors)
    lines.begin()
    if config.pool == "solo":
        run_solo(config, actions)
    elif config.reload:
        # Only here: it is an extra, and no worker that is deployed has a use for it.
        from .reloading import run_reloading

        run_reloading(config, launched, _run_in_loop)
    else:
        _run_in_loop(config, launched)


def _run_in_loop(config: WorkerConfig, launched: Sequence[Launched], watcher: Watcher | None = None) -> None:
    asyncio.run(_run(config, launched, watcher))


async def _run(config: WorkerConfig, launched: Sequence[Launched], watcher: Watcher | None) -> None:
    worker = Worker(config, launched=launched)
    loop = asyncio.get_running_loop()
    handled = actions(worker)
    for number, act in handled.items():
        signal.signal(number, partial(_call, loop, act))
    try:
        if watcher is None:
            await worker.run()
        else:
            from .reloading import reloaded

            with reloaded(watcher, worker):
                await worker.run()
    finally:
        ignore_late_signals(handled)


def _call(loop: asyncio.AbstractEventLoop, act: Callable[[], None], _number: int, _frame: object) -> None:
    # Not by `loop.add_signal_handler`: a loop that is closed gives each signal its default back, and then one that comes late, as
    # the second of somebody who is impatient, decided with which code a worker ends that has handed everything back.
    loop.call_soon_threadsafe(act)


def actions(worker: Worker) -> dict[signal.Signals, Callable[[], None]]:
    """What each signal does: Celery's and Sidekiq's habits, and nothing that ends a worker with its tasks leased."""
    return {
        signal.SIGTERM: worker.stop,
        signal.SIGINT: worker.stop,
        signal.SIGQUIT: worker.stop_at_once,
        signal.SIGTSTP: worker.quiet,
        signal.SIGCONT: worker.resume,
        signal.SIGHUP: worker.reload,
        signal.SIGUSR2: worker.roll,
        signal.SIGUSR1: worker.dump_stacks,
        signal.SIGTTIN: worker.dump_stacks,
        **{number: partial(_ignore, number) for number in UNUSED},
    }


def _ignore(number: signal.Signals) -> None:
    logger.warning(
        "%s does nothing here: TERM stops, QUIT at once, TSTP takes no more, HUP replaces the children, USR2 one by one, "
        "USR1 shows their stacks",
        number.name,
    )
