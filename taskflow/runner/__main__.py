"""`python -m taskflow.runner`: how a worker starts a child. Not for users."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from ..pipe.frames import DEFAULT_MOST_MESSAGE
from ..pipe.shared_marks import SharedMarks
from ..telemetry.logs import setup
from .child import Place, main
from .process import leave_signals_to_the_worker, write_output_at_once


def run() -> int:
    """Read the command line that the worker wrote, and be its child."""
    parser = argparse.ArgumentParser(prog="python -m taskflow.runner")
    parser.add_argument("--app", required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--marks", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--main-thread", action="store_true")
    parser.add_argument("--max-message", type=int, default=DEFAULT_MOST_MESSAGE)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--log-format", default="text")
    parser.add_argument("--log-errors", action="store_true")
    options = parser.parse_args()
    leave_signals_to_the_worker()
    write_output_at_once()
    setup(options.log_level, options.log_format, errors=options.log_errors)
    for descriptor in (options.socket, options.marks):
        os.set_inheritable(descriptor, False)  # what a task starts has no business there
    marks = SharedMarks(options.marks, options.slots)
    connection = socket.socket(fileno=options.socket)
    place: Place = "main" if options.main_thread else "threads"
    return main(options.app, connection, marks, options.slots, place=place, most=options.max_message)


if __name__ == "__main__":
    sys.exit(run())
