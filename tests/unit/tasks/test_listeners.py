"""`@app.on(...)`: who hears of what, and what is refused where it is written."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, datetime
from typing import Any

import pytest

from taskflow import TaskFlow, events
from taskflow.errors import ConfigurationError
from taskflow.events import Archived, Event, Expired, Started, Succeeded, TaskEvent
from tests.listening import kinds


def eager() -> TaskFlow:
    return TaskFlow("listening", eager=True, max_retries=0)


def names(told: list[Any]) -> list[str]:
    return [type(event).__name__ for event in told]


def test_a_listener_is_told_of_the_tasks_of_its_app_in_their_order() -> None:
    app, told = eager(), []

    @app.task(name="works")
    def works() -> None: ...

    app.on(TaskEvent)(told.append)
    works.delay()
    assert names(told) == ["Enqueued", "Received", "Started", "Succeeded"]
    assert {event.task for event in told} == {"works"}
    assert len({event.id for event in told}) == 1


def test_a_listener_hears_nothing_of_another_app_in_its_process() -> None:
    """The classes of events are the process's. Two apps in one program, or one run of tests, would count each other's tasks."""
    app, other, told = eager(), eager(), []

    @other.task(name="works")
    def works() -> None: ...

    app.on(TaskEvent)(told.append)
    works.delay()
    assert told == []


def test_a_listener_of_a_kind_hears_those_below_it() -> None:
    app, told = eager(), []

    @app.task(name="late")
    def late() -> None: ...

    app.on(Archived)(told.append)
    late.options(expires=datetime(2020, 1, 1, tzinfo=UTC)).delay()
    assert [type(event) for event in told] == [Expired]


def test_the_decorator_gives_the_function_back_and_off_takes_it_out() -> None:
    app, told = eager(), []

    @app.task(name="works")
    def works() -> None: ...

    @app.on(Succeeded, Started)
    def hear(event: Succeeded | Started) -> None:
        told.append(event)

    works.delay()
    assert names(told) == ["Started", "Succeeded"]
    app.off(hear)
    app.off(hear)
    works.delay()
    assert len(told) == 2


def test_listeners_end_with_their_app() -> None:
    """A program that makes many apps, as a run of tests does, would have events made for listeners of apps that are gone."""
    app = eager()
    app.on(Event)(print)
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None
    assert not [kind for kind in kinds() if kind.heard]


def test_a_listener_that_raises_costs_no_verdict() -> None:
    app = TaskFlow("listening", eager=True, retention=60)

    @app.task(name="works")
    def works() -> int:
        return 1

    @app.on(Event)
    def broken(event: Event) -> None:
        raise SystemExit

    assert works.delay().get() == 1


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ((), r"needs events: @app.on\(Succeeded\)"),
        (("task_failure",), r"that signal of Celery's there is @app.on\(Archived\)"),
        (("whatever",), r"events are classes, .*@app.on\(Succeeded\)"),
        ((print,), r"write @app.on\(Succeeded\) above the function"),
        ((int,), "takes events"),
        ((Succeeded("a", "b", "c", 0, 0.0),), "takes events"),
    ],
)
def test_what_is_no_event_is_refused_where_it_is_written(kinds: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        eager().on(*kinds)


def test_a_coroutine_function_is_refused_as_a_listener() -> None:
    """Nobody would await it: it would never run, and its author would see a warning in the log of a worker."""

    async def hear(event: Event) -> None: ...

    with pytest.raises(ConfigurationError, match=r"hear is a coroutine function, .*`arun`"):
        eager().on(Succeeded)(hear)


def test_every_public_event_says_in_which_process_it_is_told() -> None:
    for name in events.__all__:
        kind = getattr(events, name)
        assert kind in (Event, TaskEvent) or kind.told_in <= {"client", "child", "worker"}
        assert bool(kind.told_in) == (kind not in (Event, TaskEvent))
