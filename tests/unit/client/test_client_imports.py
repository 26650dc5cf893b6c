"""What the client imports before its first connection."""

from __future__ import annotations

import subprocess
import sys

from tests.workers import ROOT


def test_a_first_connection_imports_nothing_that_a_fork_could_wait_for() -> None:
    """A process that was forked while another thread made its first connection hung for ever: that thread was importing what
    looks host names up, and held the lock of that module.
    """
    program = """if True:
        import sys
        from taskflow import TaskFlow, errors
        app = TaskFlow("shop", broker="redis://localhost:1", enqueue_timeout=0.2)
        @app.task(name="noop")
        def noop(): ...
        app.client
        before = set(sys.modules)
        try:
            noop.delay()
        except errors.BrokerUnavailable:
            print(sorted(set(sys.modules) - before))
    """

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
