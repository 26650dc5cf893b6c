"""Who is told of an event, in which order, and what a listener cannot do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import msgspec
import pytest

from taskflow.telemetry import events, telling
from taskflow.telemetry.events import Archived, Event, Expired, Received, Succeeded, TaskEvent, attach, emit
from taskflow.telemetry.flood import MOST_OF_A_KIND, Flood
from tests.listening import kinds

RECEIVED = Received("images:resize", "t1", "images", 0)
SUCCEEDED = Succeeded("images:resize", "t1", "images", 0, 0.5)


@pytest.fixture
def listen() -> Iterator[Callable[..., None]]:
    """`attach`, undone after the test."""
    undo: list[Callable[[], None]] = []

    def attach_for_now(*given: object) -> None:
        undo.append(attach(*given))  # type: ignore[arg-type]

    yield attach_for_now
    for detach in undo:
        detach()


def test_nothing_is_heard_where_nobody_listens() -> None:
    """So a hot path that looks first makes no event: the tuple of each kind is empty again after whoever listened has gone."""
    assert not [kind for kind in kinds() if kind.heard]
    detach = attach(print)
    assert all(kind.heard == (print,) for kind in kinds())
    detach()
    assert not [kind for kind in kinds() if kind.heard]


def test_listeners_are_told_in_the_order_of_attaching(listen: Callable[..., None]) -> None:
    told: list[tuple[str, Event]] = []
    for name in "abc":
        listen(lambda event, name=name: told.append((name, event)), [Received])
    emit(RECEIVED)
    emit(SUCCEEDED)
    assert told == [("a", RECEIVED), ("b", RECEIVED), ("c", RECEIVED)]


def test_a_listener_of_a_kind_hears_those_below_it(listen: Callable[..., None]) -> None:
    """Whoever counts what is archived need not know for how many reasons a task may be."""
    archived: list[Event] = []
    of_tasks: list[Event] = []
    listen(archived.append, [Archived])
    listen(of_tasks.append, [TaskEvent])
    late = Expired("images:resize", "t1", "images", 0, late_seconds=2.0)
    for event in (late, RECEIVED, events.Recovered("images", 1)):
        emit(event)
    assert archived == [late]
    assert of_tasks == [late, RECEIVED]


def test_who_attaches_twice_is_told_once(listen: Callable[..., None]) -> None:
    told: list[Event] = []
    hear = told.append
    listen(hear, [Received])
    listen(hear, [Event])
    emit(RECEIVED)
    assert told == [RECEIVED]


def test_an_event_cannot_be_changed_by_who_is_told_first() -> None:
    for kind in kinds():
        assert kind.__struct_config__.frozen
    with pytest.raises(AttributeError):
        RECEIVED.task = "another"  # type: ignore[misc]


def test_no_event_of_a_task_has_room_for_arguments_or_a_result() -> None:
    """What is not there cannot be logged, shipped or shown by a listener."""
    fields = {field.name for kind in kinds(TaskEvent) for field in msgspec.structs.fields(kind)}
    assert not fields & {"args", "kwargs", "payload", "message", "value", "result"}


@pytest.mark.parametrize(
    "error", [ValueError("the secret"), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()]
)
def test_a_listener_that_raises_costs_a_line_and_nothing_else(
    listen: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs between the end of a task and what comes next: neither the others that listen, nor the thread may notice. The text
    of what it raised may quote the task's arguments, so the line has its type and place only.
    """
    monkeypatch.setattr(telling, "_flood", Flood())
    told: list[Event] = []

    def broken(event: Event) -> None:
        raise error

    listen(broken, [Received])
    listen(told.append, [Received])
    with caplog.at_level(logging.ERROR, "taskflow.events"):
        emit(RECEIVED)
    assert told == [RECEIVED]
    [line] = [record.getMessage() for record in caplog.records]
    assert "broken failed at an event (Received): " + type(error).__name__ in line
    assert __file__ in line
    assert "secret" not in caplog.text


def test_one_that_always_raises_does_not_flood_the_log(
    listen: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "_flood", Flood())

    def broken(event: Event) -> None:
        raise ValueError

    listen(broken, [Received])
    with caplog.at_level(logging.ERROR, "taskflow.events"):
        for _ in range(1000):
            emit(RECEIVED)
    assert len(caplog.records) == MOST_OF_A_KIND


class Nameless:
    """Even its name is the user's code."""

    def __call__(self, event: Event) -> None:
        raise ValueError

    def __getattr__(self, name: str) -> object:
        raise SystemExit


def test_nor_does_one_whose_name_raises(listen: Callable[..., None]) -> None:
    told: list[Event] = []
    listen(Nameless(), [Received])
    listen(told.append, [Received])
    emit(RECEIVED)
    assert told == [RECEIVED]


def test_a_listener_may_leave_while_it_is_told() -> None:
    told: list[Event] = []
    leave: list[Callable[[], None]] = []

    def once(event: Event) -> None:
        told.append(event)
        leave.pop()()

    leave.append(attach(once, [Received]))
    second = attach(told.append, [Received])
    emit(RECEIVED)
    emit(RECEIVED)
    second()
    assert told == [RECEIVED] * 3
