"""The marks that a worker shares with a child."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from taskflow.pipe import shared_marks
from taskflow.pipe.shared_marks import SharedMarks


@pytest.fixture
def sides() -> Iterator[tuple[SharedMarks, SharedMarks]]:
    """The worker's and the child's view of the same marks."""
    descriptor = shared_marks.create()
    worker, child = SharedMarks(descriptor, 4), SharedMarks(descriptor, 4)
    os.close(descriptor)
    yield worker, child
    worker.close()
    child.close()


def test_the_worker_sees_what_runs_and_what_has_started(sides: tuple[SharedMarks, SharedMarks]) -> None:
    worker, child = sides
    for number in (1, 2):
        worker.expect(number)
    assert child.start(3, 1, 1000, 5000)
    assert [(run.number, run.started_ns, run.limit_ns) for run in worker.running()] == [(1, 1000, 5000)]
    child.end(3)
    assert list(worker.running()) == []
    # A job that has ended has started, until its outcome is there.
    assert worker.has_started(1)
    assert not worker.has_started(2)


def test_a_recalled_job_does_not_start(sides: tuple[SharedMarks, SharedMarks]) -> None:
    worker, child = sides
    worker.recall(3)
    assert not child.start(0, 2, 1, 0)
    assert child.start(0, 3, 1, 0)
    assert [run.number for run in worker.running()] == [3]


def test_a_number_can_be_used_again_after_a_round(sides: tuple[SharedMarks, SharedMarks]) -> None:
    worker, child = sides
    worker.expect(5)
    assert child.start(0, 5, 1, 0)
    worker.expect(5 + shared_marks.RING)
    assert not worker.has_started(5 + shared_marks.RING)


def test_jobs_that_are_sent_together_are_expected_together_also_where_the_round_ends(
    sides: tuple[SharedMarks, SharedMarks],
) -> None:
    """A mark that was left from the round before would say of a job that it has started: it would not be taken back, and would
    count as a crash of its process.
    """
    worker, child = sides
    first = shared_marks.RING - 2
    for number in range(first - 1, first + 6):
        assert child.start(0, number, 1, 0)
    worker.expect(first + shared_marks.RING, 5)
    numbers = range(first - 1, first + 6)
    assert [worker.has_started(number) for number in numbers] == [True, *[False] * 5, True]
