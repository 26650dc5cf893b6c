"""What fails is said at once and then once a minute, in one line for all whom it befalls, and when it is over."""

from __future__ import annotations

import logging

import pytest

from taskflow.errors import BrokerAuthError, BrokerUnavailable
from taskflow.worker.health import troubles as module
from taskflow.worker.health.troubles import MOST_TEXTS, Troubles


class Clock:
    """The time, as a test wants it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO, "taskflow.worker")
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_long_outage_is_said_once_a_minute_by_one_line_for_all_loops(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It was said at its first and its fifth try and never again: whoever looked an hour later saw nothing."""
    troubles = Troubles()
    for second in range(150):
        clock.now += 1
        for loop in ("leases", "heartbeat", "subscriber"):
            troubles.failed(loop, BrokerUnavailable(f"no answer within {second / 10} s"))
    assert [record.getMessage() for record in caplog.records] == [
        "leases: no answer within some seconds",
        "leases and 2 more: no answer within some seconds (for 60 s now)",
        "leases and 2 more: no answer within some seconds (for 120 s now)",
    ]
    assert troubles.complaints() == [], "the broker is away: that is no fault of the worker's"
    caplog.clear()
    for loop in ("leases", "heartbeat", "subscriber"):
        troubles.worked(loop)
    assert "it is over" in caplog.text
    assert len(caplog.records) == 1


def test_what_comes_and_goes_every_second_is_no_flood(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    troubles = Troubles()
    for _ in range(100):
        clock.now += 0.5
        troubles.failed("leases", BrokerAuthError("refused"))
        clock.now += 0.5
        troubles.worked("leases")
    assert len(caplog.records) <= 4


def test_a_refusal_is_red_and_so_is_a_broker_that_cannot_be_reached_for_want_of_a_descriptor(
    clock: Clock,
) -> None:
    troubles = Troubles()
    troubles.failed("leases", BrokerUnavailable("Error 24 connecting to 10.0.0.1:6379. Too many open files."))
    troubles.failed("heartbeat", BrokerAuthError("refused"))
    assert [line.partition(":")[0] for line in troubles.complaints()] == ["leases", "heartbeat"]
    troubles.worked("leases")
    troubles.failed("heartbeat", BrokerUnavailable("away"))
    assert troubles.complaints() == []


def test_texts_that_differ_each_time_use_up_no_memory(clock: Clock) -> None:
    troubles = Troubles()
    for number in range(10 * MOST_TEXTS):
        clock.now += 0.01
        troubles.failed(f"loop {number}", BrokerAuthError(f"refused {number}"))
    assert len(troubles._matters) <= MOST_TEXTS + 1
    assert len(troubles.complaints()) == module.SHOWN + 1
