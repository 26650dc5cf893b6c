"""Lines of the log whose number somebody else decides on."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from taskflow.telemetry import events, saying
from taskflow.telemetry.events import emit
from taskflow.telemetry.flood import MINUTE, MOST, MOST_OF_A_KIND, Flood
from tests.listening import logged


def test_a_minute_has_some_lines_of_a_kind_and_the_next_says_how_many_were_left_out() -> None:
    now = 0.0
    flood = Flood(lambda: now)
    assert [flood.passes("a") for _ in range(1000)].count("") == MOST_OF_A_KIND
    assert flood.passes("b") == ""
    now = MINUTE
    assert flood.passes("a") == " (990 more such lines were left out)"
    assert flood.passes("a") == ""


def test_names_that_are_all_different_are_bounded_together() -> None:
    flood = Flood(lambda: 0.0)
    assert [flood.passes(str(number)) for number in range(10_000)].count("") == MOST


def test_a_task_that_nobody_knows_is_said_a_few_times_a_minute_and_its_name_is_cut(
    caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of a megabyte was logged whole at every put-back, and a thousand refused tasks were a thousand lines."""
    monkeypatch.setattr(saying, "flood", Flood(lambda: 0.0))
    caplog.set_level(logging.INFO)
    with logged():
        for _ in range(50):
            emit(events.PutBack("x" * 1_000_000, "id", "q", 0, "is not known to this app", 2.0))
            emit(events.Unread("", "id", "q", 0, kind="unreadable", reason="it is no message"))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 * MOST_OF_A_KIND
    assert max(map(len, said)) < 1000
