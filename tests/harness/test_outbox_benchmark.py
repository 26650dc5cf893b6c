"""The benchmark of Django's outbox runs: whatever the numbers are, there are some, and every call is in its queue once."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_small_run_gives_its_numbers_and_loses_no_call() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.outbox", "--rows", "300"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(re.findall(r"\| [\d,]+$", done.stdout, re.MULTILINE)) == 4
    assert len(re.findall(r"median \d+ ms", done.stdout)) == 2
