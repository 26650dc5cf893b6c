"""What Celery's `self` has and ours has not is refused where the task is declared, not when a worker comes to that line."""

from __future__ import annotations

from typing import Any

import pytest

from taskflow import Task, TaskFlow
from taskflow.errors import ConfigurationError


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("shop", broker="redis://127.0.0.1:1", eager=True)


def parent(self: Any) -> Any:
    return self.request.root_id


def state(self: Any) -> None:
    for done in range(3):
        self.update_state(state="PROGRESS", meta={"done": done})


def signature(self: Any) -> Any:
    return (lambda: self.s(1))()


def others(self: Any, x: int) -> None:
    try:
        raise OSError
    except OSError as error:
        self.retry(args=(x + 1,), exc=error)


def stored(self: Any) -> None:
    self.count = 1


async def astate(me: Any) -> None:
    me.update_state(state="PROGRESS")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (parent, r"test_first_line.py:\d+: task .* uses self.request.root_id: tasks have no parents"),
        (state, "uses self.update_state: "),
        (signature, "uses self.s: chains, groups"),
        (others, "uses self.retry: it takes no args: another attempt has"),
        (stored, "uses self.count: the running task has no attributes of your own"),
        (astate, "uses me.update_state"),
    ],
)
def test_it_is_refused_with_its_line(app: TaskFlow, function: Any, words: str) -> None:
    """It failed in the worker, 25 times over three weeks."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        app.task(bind=True)(function)
    line = int(str(caught.value).split(":")[1])
    assert function.__code__.co_firstlineno < line < function.__code__.co_firstlineno + 5
    assert not app.tasks


def test_what_there_is_passes(app: TaskFlow) -> None:
    class Counting(Task):  # type: ignore[type-arg]
        def update_state(self, **meta: Any) -> None: ...

    class Request:
        root_id = 3

    @app.task(bind=True)
    def fine(self: Any, request: Any = None) -> Any:
        other = Request()
        other.count = 1  # type: ignore[attr-defined]
        other.root_id = self.request.retries
        self.retry(exc=OSError(), countdown=1, max_retries=3)
        return [self.apply_async(args=(1,), queue="slow")]

    @app.task(base=Counting, bind=True)
    def based(self: Any) -> None:
        self.update_state(done=1)
        self.count = 1

    @app.task
    def unbound(self: Any) -> Any:
        return self.request.root_id


def test_what_has_no_source_passes(app: TaskFlow) -> None:
    names: dict[str, Any] = {}
    exec("def made(self):\n    return self.request.root_id", names)
    names["made"].__module__ = __name__
    app.task(bind=True, name="made")(names["made"])
