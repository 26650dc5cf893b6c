"""Coroutines that are run as if they were functions."""

from __future__ import annotations

import asyncio

import pytest

from taskflow.connection.coroutines import advance, complete, let_others_go_on


def test_what_would_wait_for_an_event_loop_is_refused_and_not_left_half_done() -> None:
    """A thread has none: such code is a mistake of ours."""
    left: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            left.append("whole")

    with pytest.raises(AssertionError, match="done at once"):
        complete(waits())
    assert left == ["whole"]


def test_several_go_on_in_turn() -> None:
    said: list[str] = []

    async def one(name: str) -> str:
        said.append(f"{name} sends")
        await let_others_go_on()
        said.append(f"{name} reads")
        return name

    both = [one("a"), one("b")]
    assert [advance(each) for each in both] == [None, None]
    assert [complete(each) for each in both] == ["a", "b"]
    assert said == ["a sends", "b sends", "a reads", "b reads"]


def test_an_error_is_the_callers() -> None:
    async def fails() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        complete(fails())
    with pytest.raises(LookupError):
        advance(fails())
