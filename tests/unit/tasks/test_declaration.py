"""What `@app.task` takes: options that are for one call are refused, names that cannot be told apart too."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.errors import InvalidArguments, InvalidSignature, TaskAlreadyRegistered, UnknownOption

NOWHERE = "redis://127.0.0.1:1"
PER_CALL: dict[str, Any] = {
    "id": "same",
    "task_id": "same",
    "eta": datetime(2030, 1, 1, tzinfo=UTC),
    "deadline": datetime(2030, 1, 1, tzinfo=UTC),
    "countdown": 5,
    "expires": datetime(2030, 1, 1, tzinfo=UTC),
}


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("shop", broker=NOWHERE)


def crunch(number: int, factor: int = 2) -> int:
    return number * factor


class Service:
    def __init__(self, factor: int = 2) -> None:
        self.factor = factor

    def __call__(self, number: int) -> int:
        return number * self.factor


@pytest.mark.parametrize("name", [*PER_CALL, "delay", "group"])
def test_an_option_for_one_call_is_no_default_of_an_app(name: str) -> None:
    """`TaskFlow("x", id="same")` was taken: the first `.delay()` worked, and every other one was a conflict of ids."""
    with pytest.raises(UnknownOption, match=rf"`{name}` is for one call.*\.options\({name}=\.\.\.\)"):
        TaskFlow("shop", broker=NOWHERE, **{name: PER_CALL.get(name, "x")})


@pytest.mark.parametrize("name", sorted({*PER_CALL} - {"expires"}))
def test_an_option_for_one_call_is_no_default_of_a_task(app: TaskFlow, name: str) -> None:
    with pytest.raises(UnknownOption, match=rf"`{name}` is for one call"):
        app.task(**{name: PER_CALL[name]})(crunch)


@pytest.mark.parametrize("thing", [functools.partial(crunch, factor=3), Service(), lambda number: number])
def test_what_has_no_name_of_its_own_needs_one(app: TaskFlow, thing: Any) -> None:
    """The second `functools.partial` without `name=` was an AttributeError; a second lambda took the place of the first."""
    with pytest.raises(InvalidSignature, match=r"has none of its own; give it one: app\.task\(name="):
        app.task(thing)

    assert app.task(name="with a name")(thing).name == "with a name"


@pytest.mark.parametrize("make", [lambda: functools.partial(crunch, factor=3), Service])
def test_two_things_without_a_name_are_two_tasks(app: TaskFlow, make: Any) -> None:
    app.task(name="first")(make())

    with pytest.raises(TaskAlreadyRegistered, match="two functions claim the task name 'first'"):
        app.task(name="first")(make())
    assert app.task(name="second")(make())(4) in (8, 12)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        (1, None, r"args must be a list or tuple, not int; .*\(value,\)"),
        ("1", None, "args must be a list or tuple, not str"),
        ({"number": 1}, None, "args must be a list or tuple, not dict"),
        ((1,), [2], "kwargs must be a dict of arguments by name, not list"),
    ],
)
def test_apply_async_says_what_its_arguments_must_be(
    app: TaskFlow, args: Any, kwargs: Any, words: str
) -> None:
    """`apply_async((1))`, which is not a tuple, was "object of type 'int' has no len()"."""
    task = app.task(crunch)

    with pytest.raises(InvalidArguments, match=words) as caught:
        task.apply_async(args, kwargs)

    assert isinstance(caught.value, TypeError)


async def _acrunch(number: int) -> int:
    return number


def test_apply_async_takes_what_celery_takes() -> None:
    app = TaskFlow("shop", eager=True, retention=60)
    task = app.task(crunch)

    assert task.apply_async([4], {"factor": 3}).get() == 12
    assert task.apply_async(None, {"number": 4}).get() == 8
    assert task.apply_async((4,), None).get() == 8
