"""`taskflow demo` shows the tutorial and a dying node, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import wait_until

pytestmark = pytest.mark.timeout(180)


def _start(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "taskflow", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(directory)},
        start_new_session=True,
    )


def _left(directory: Path) -> list[str]:
    """The processes that still have this directory on their command line, and the folders in it."""
    found = [str(path) for path in directory.glob("taskflow-demo-*")]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in command:
            found.append(command.decode(errors="replace"))
    return found


def test_shows_the_tutorial_kills_a_master_and_loses_nothing(tmp_path: Path) -> None:
    process = _start(tmp_path)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    for queue, slot in (("images", 9450), ("webhooks", 4418), ("notifications", 16340)):
        assert re.search(rf"^{queue}\s+{slot}\s.*\(master\).*\(replica\)", output, re.MULTILINE), output
    assert 'Enqueued notifications:email {"to":123,"from":456}' in output
    assert "sent an email to 123 from 456" in output
    assert "Killed the master of images" in output
    assert "is master of images now" in output
    assert re.search(r"enqueued 303   run 303   lost 0", output)
    assert "\x1b" not in output, "plain lines when piped"
    assert _left(tmp_path) == []


@pytest.mark.parametrize("when", ["Starting six", "The cluster is up", "Killed the master"])
def test_cleans_up_when_it_is_interrupted(tmp_path: Path, when: str) -> None:
    process = _start(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if when in line:
            break
    time.sleep(0.3)  # into the step, not between two: any moment must do
    process.send_signal(signal.SIGINT)
    interrupted = time.monotonic()
    rest = process.stdout.read()
    assert process.wait(60) == 130, rest
    # It waited for 40 s for a replica of servers that it had ended to be promoted.
    assert time.monotonic() - interrupted < 25
    assert "Traceback" not in rest
    wait_until(lambda: _left(tmp_path) == [], description="nothing is left behind")
    process.stdout.close()
