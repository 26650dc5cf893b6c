"""`--reload`: the children are replaced when code changes. For the desk: a deployment sends SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from watchfiles import DefaultFilter, PythonFilter, watch

from ..errors import AppNotFound
from .config import WorkerConfig
from .launch import Launched, launch_all
from .worker import Worker

logger = logging.getLogger("taskflow.worker")

STEP_MS = 50
"""How long nothing more may change until what has is told: an editor writes a file in several steps."""

LOOK_MS = 200
"""How long a look for changes takes when there are none."""

_SHOWN = 5


class CodeFilter(PythonFilter):
    """Python files, but for those that nobody edits."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, "venv", "env", "site-packages", ".ruff_cache")


class Watcher:
    """Watches folders, in a thread of its own, as long as the process lives: what is saved while a worker starts counts, too.

    Args:
        folders: whose Python files are watched, with all that is in them.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._changed = threading.Event()
        self.tell: Callable[[], None] | None = None
        """Told of a change, from the thread; None: nobody is there, and who comes waits for it."""

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="taskflow-reload", daemon=True).start()

    @property
    def has_changed(self) -> bool:
        """Whether anything has since `begin`."""
        return self._changed.is_set()

    def wait(self) -> None:
        """Until something has changed since `begin`."""
        while not self._changed.wait(0.2):  # so that Ctrl-C is heard
            pass

    def begin(self) -> None:
        """Forget what has changed: whoever starts now has it."""
        self._changed.clear()

    def _watch(self) -> None:
        said = False
        try:
            for changes in watch(
                *self._folders,
                watch_filter=CodeFilter(),
                step=STEP_MS,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                if not said:
                    said = True
                    logger.info("Watching the code in %s", ", ".join(self._folders))
                if changes:
                    logger.info("Code has changed: %s", named(path for _, path in changes))
                    self._changed.set()
                    if (tell := self.tell) is not None:
                        tell()
        except (OSError, RuntimeError) as error:  # too many folders for the system, say
            logger.error(
                "Code is not watched any more (%s); send SIGHUP after a change, or start the worker again",
                error,
                exc_info=error,
            )


def run_reloading(
    config: WorkerConfig,
    launched: Sequence[Launched],
    run: Callable[[WorkerConfig, Sequence[Launched], Watcher], None],
) -> None:
    """Run a worker; where its app cannot be imported, say why, and run it when the code has changed."""
    watcher = Watcher(config.reload)
    watcher.start()
    while True:
        try:
            run(config, launched, watcher)
            return
        except AppNotFound as error:
            logger.error("%s", error)
            sys.stderr.write(error.details)
        # The worker that has just ended ignores what comes late; here nothing is held, and whoever wants it to end may end it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        logger.info("Waiting for a change of the code in %s", ", ".join(config.reload))
        watcher.wait()
        watcher.begin()
        launched = launch_all(config)


@contextlib.contextmanager
def reloaded(watcher: Watcher, worker: Worker) -> Iterator[None]:
    """While a worker runs on this event loop: its children are replaced when code changes."""
    loop = asyncio.get_running_loop()

    def tell() -> None:
        loop.call_soon_threadsafe(worker.reload)

    watcher.tell = tell
    if watcher.has_changed:  # while it got here
        worker.reload()
    try:
        yield
    finally:
        watcher.tell = None


def named(paths: Iterable[str]) -> str:
    """What has changed, as people know it.

    Example:
        >>> named([os.path.abspath("shop/tasks.py")])
        'shop/tasks.py'
    """
    here = os.getcwd() + os.sep
    found = sorted(path.removeprefix(here) for path in paths)
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
