"""The short form of the soak, and planted leaks that it must find."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.soak.run import Report
from tests.soak.samples import Sample, growth
from tests.soak.settings import PREFIX, Settings
from tests.workers import ROOT

SHORT = {"tasks": 20_000, "kill_seconds": 1.0, "settle_seconds": 0.0, "growth_mib": 3.0}
"""In its half minute a worker is still getting warm: it was seen to grow by 1.8 MiB. Two million are held to 1.5."""

PLANTED = {**SHORT, "tasks": 4_000, "looks": 16, "processes": 1, "leak_bytes": 2_000, "growth_mib": 1.5}

FOUND = {
    "worker": "worker [0-9]+ grows by",
    "child": "child [0-9]+ grows by",
    "files": "worker [0-9]+ has [0-9]+ more files open",
    "threads": "worker [0-9]+ has [0-9]+ more threads",
    "keys": "[0-9]+ keys have stayed",
}


def run(**settings: object) -> subprocess.CompletedProcess[str]:
    """`python -m tests.soak` with these settings."""
    given = {PREFIX + name.upper(): str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "tests.soak"],
        env={**os.environ, **given},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(240)
def test_twenty_thousand_tasks_and_a_cut_every_second_leave_nothing() -> None:
    """Memory, files and threads are flat in the second half, as many keys as before, each task has its verdict."""
    ended = run(**SHORT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "PROBLEM" not in ended.stdout


@pytest.mark.timeout(240)
def test_finds_planted_leaks() -> None:
    """One of each kind, in one run."""
    ended = run(leak=",".join(FOUND), **PLANTED)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    missed = [leak for leak, text in FOUND.items() if not re.search(f"PROBLEM: {text}", ended.stdout)]
    assert missed == [], ended.stdout


def samples(bytes_a_task: float, settings: Settings) -> list[Sample]:
    """The looks at one process that leaks so much, and holds a little more at every third look, less at every fifth."""
    found = []
    for look in range(1, settings.looks + 1):
        tasks = settings.tasks * look // settings.looks
        moment = 0.4 * (look % 3 == 0) - 0.3 * (look % 5 == 0)
        mib = 45.0 + moment + tasks * bytes_a_task / 2**20
        found.append(Sample(tasks, 1, "worker", mib, 60.0, 20 + look % 4, 9))
    return found


@pytest.mark.parametrize(("bytes_a_task", "is_found"), [(0, False), (20, True)])
def test_twenty_bytes_a_task_are_seen(bytes_a_task: int, is_found: bool) -> None:
    """And the moment's ups and downs are not taken for a leak."""
    settings = Settings()
    report = Report(growths=growth(samples(bytes_a_task, settings), settings.tasks))
    grows = [line for line in report.problems(settings) if "grows by" in line]
    assert bool(grows) is is_found
