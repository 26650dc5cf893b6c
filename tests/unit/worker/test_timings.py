"""The times of a worker: what they are outside tests, and which would break it."""

from __future__ import annotations

import pytest

from taskflow.broker.commands.dequeue import LEASE_SECONDS
from taskflow.errors import InvalidOption
from taskflow.worker.config import WorkerConfig
from taskflow.worker.timings import TIMINGS, Timings


def test_a_worker_leases_for_as_long_as_asynq_does() -> None:
    """The number stands twice: a worker's settings are read before it imports anything that knows the broker."""
    assert WorkerConfig("app").timings is TIMINGS
    assert Timings().lease == LEASE_SECONDS


def test_a_lease_that_ends_before_it_is_extended_is_refused() -> None:
    """Others would run what this worker runs, again and again, and each would be right by the server's clock."""
    with pytest.raises(InvalidOption, match="a lease of 5 s ends before it is extended"):
        Timings(lease=5)
    with pytest.raises(InvalidOption, match="ends before"):
        Timings(lease_extension=30.0)
    assert Timings(lease=1, lease_extension=0.2).lease == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"recover": 0.0}, "the time recover of a worker must be over 0 s, not 0.0"),
        ({"still": -1.0}, "the time still of a worker must be over 0 s"),
        ({"stuck": 1.0}, r"stuck of a worker \(1.0 s\) must not be shorter than complain \(2.0 s\)"),
        ({"longest_restart": 0.1}, "must not be shorter than first_restart"),
        ({"longest_pause": 0.1}, "must not be shorter than first_pause"),
    ],
)
def test_times_that_make_no_sense_are_refused(given: dict[str, float], said: str) -> None:
    """A loop without a pause would keep the server busy; a longest pause under the first one would be none."""
    with pytest.raises(InvalidOption, match=said):
        Timings(**given)  # type: ignore[arg-type]
