"""The faults themselves: as many as were asked for, each of both kinds, and the same ones from the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.policy import Fate, Faults, totals


def test_so_many_fail_as_the_rate_says_half_of_them_before_they_run(tmp_path: Path) -> None:
    faults = Faults(0.1, 1, tmp_path)
    fates = [faults.fate("enqueue") for _ in range(10_000)]
    assert fates.count(Fate.BEFORE) == pytest.approx(500, abs=100)
    assert fates.count(Fate.AFTER) == pytest.approx(500, abs=100)
    counted = totals(tmp_path)["enqueue"]
    assert (counted.calls, counted.before, counted.after) == (
        10_000,
        fates.count(Fate.BEFORE),
        fates.count(Fate.AFTER),
    )


def test_a_rare_command_fails_once_in_each_way_in_a_whole_run(tmp_path: Path) -> None:
    """The first process that sends it meets both faults, the next ones none."""
    first, second = Faults(0, 1, tmp_path), Faults(0, 2, tmp_path)
    assert [first.fate("held") for _ in range(3)] == [Fate.BEFORE, Fate.AFTER, Fate.PASS]
    assert [second.fate("held") for _ in range(3)] == [Fate.PASS] * 3
    counted = totals(tmp_path)["held"]
    assert (counted.calls, counted.before, counted.after) == (6, 1, 1)


def test_a_test_meets_the_same_faults_whatever_ran_before(tmp_path: Path) -> None:
    """The seed that a failing run prints is good for something."""
    fates = []
    for number in range(2):
        faults = Faults(0.3, 7, tmp_path / str(number))
        for _ in range(10 + number):
            faults.fate("enqueue")
        faults.begin("tests/test_a.py::test_b")
        fates.append([faults.fate("enqueue") for _ in range(100)])
    assert fates[0] == fates[1]
