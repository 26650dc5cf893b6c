"""`python -m tests.chaos.worker`: `taskflow` with what the harness changes; ends with the harness."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading

from . import tuning


def _end_with_stdin() -> None:
    """A harness that is killed leaves no worker behind: our stdin ends with it."""
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


def run() -> None:
    """Start the command line."""
    tuning.apply()
    # A worker that does not end is asked where it stands: the answer is in its log.
    faulthandler.register(signal.SIGXCPU, all_threads=True)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    from taskflow.cli.main import main

    main(prog_name="taskflow")


if __name__ == "__main__":
    run()
