"""What a task forks can be ended from its first moment on."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, socket, sys, time

os.register_at_fork(after_in_child=lambda: time.sleep(0.5))  # before the child's own: so a fork is as slow as on a busy machine
from taskflow.runner import process

process.leave_signals_to_the_worker()
process.keep_from_forks(socket.socketpair()[0])
pid = os.fork()
if pid == 0:
    time.sleep(60)
    os._exit(0)
os.kill(pid, int(sys.argv[1]))
status = os.waitpid(pid, 0)[1]
os.kill(os.getpid(), int(sys.argv[1]))  # which itself hears it as before: it does nothing
print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_signal_that_comes_before_a_fork_has_its_own_handlers_is_not_lost(name: str) -> None:
    """A `multiprocessing.Pool` that was ended as soon as it had worked waited for ever for one of its processes."""
    number = int(getattr(signal, name))
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(number)], capture_output=True, text=True, timeout=30, check=True
    )
    assert (run.stdout.strip(), run.stderr) == (str(-number), "")
