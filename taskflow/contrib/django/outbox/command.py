"""`manage.py taskflow relay`: the relay in a process of its own."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from django.db import connections

from .. import making
from .relay import BROKEN, Relay
from .setting import NAME, outbox_settings
from .status import outbox_status

HELP = (
    "Deliver the calls in the outbox, until the process is told to end; several may run, here and in workers."
)


def parser(prog: str) -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(prog=prog, description=HELP, allow_abbrev=False)
    made.add_argument(
        "--database", action="append", metavar="NAME", help=f"only of this database; else all of {NAME}"
    )
    made.add_argument(
        "--once", action="store_true", help="deliver what is there and end; 1 if something is left"
    )
    made.add_argument("--batch", type=int, metavar="ROWS", help="rows that are delivered together")
    made.add_argument("-b", "--broker", metavar="URL", help="the broker, instead of the app's")
    made.add_argument(
        "--status", action="store_true", help="say what lies in the outbox, and deliver nothing"
    )
    return made


def relay(line: Sequence[str], prog: str, out: TextIO) -> int:
    """Run it.

    Args:
        line: its options.
        prog: what it was called by.
        out: where it says what it does.

    Returns:
        The code that the process ends with.
    """
    given = parser(prog).parse_args(list(line))
    settings = outbox_settings()
    if not settings.is_on:
        print(f"{NAME} is not set, so there is no outbox: set it to True", file=sys.stderr)
        return 2
    if given.batch:
        settings = replace(settings, batch=max(given.batch, 1))
    databases = given.database or list(settings.databases)
    if unknown := [one for one in databases if one not in connections.settings]:
        print(f"there is no database {unknown[0]!r} in DATABASES", file=sys.stderr)
        return 2
    if given.status:
        return _status(out)
    app = making.current_app()
    if given.broker:
        app.use_broker(given.broker)
    relays = [Relay(app, using, settings) for using in databases]
    if given.once:
        return _once(relays, out)
    _log_to_stderr()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threads = [threading.Thread(target=one.run, args=(stop,), name=f"relay-{one.using}") for one in relays]
    for thread in threads:
        thread.start()
    print(f"Relaying from {', '.join(databases)}, as process {os.getpid()}", file=out, flush=True)
    stop.wait()
    for thread in threads:
        thread.join()
    print(f"Relayed {sum(one.delivered for one in relays):,} calls", file=out, flush=True)
    app.close()
    return 0


def _once(relays: Sequence[Relay], out: TextIO) -> int:
    left = 0
    for one in relays:
        try:
            left += one.drain()
        except BROKEN as error:
            print(f"database {one.using}: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
    print(f"Relayed {sum(one.delivered for one in relays):,} calls, {left:,} left", file=out, flush=True)
    return 1 if left else 0


def _status(out: TextIO) -> int:
    for one in outbox_status():
        print(
            f"{one.database}: {one.waiting:,} calls wait, the oldest for {one.oldest_seconds:,.1f} s; {one.retrying:,} of them "
            f"are tried alone, and {one.given_up:,} more are given up",
            file=out,
        )
    return 0


def _log_to_stderr() -> None:
    """Where the project's logging says nothing of our lines."""
    logger = logging.getLogger("taskflow")
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
