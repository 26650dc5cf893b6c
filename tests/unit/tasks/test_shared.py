"""`shared_task`: a task that each app of the process has."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from taskflow import AsyncResult, AsyncTask, Task, TaskFlow, shared_task
from taskflow.errors import ConfigurationError, TaskNotRegistered, UnknownOption
from taskflow.tasks import registry


@pytest.fixture(autouse=True)
def nothing_shared() -> Iterator[None]:
    """What other tests have left is put aside, and nothing is left."""
    gc.collect()
    before, apps = list(registry.shared), list(registry._order)
    registry.shared.clear()
    registry._order.clear()
    yield
    registry.shared[:] = before
    registry._order[:] = apps


def new(name: str, **options: Any) -> TaskFlow:
    return TaskFlow(name, broker="redis://127.0.0.1:1", eager=True, retention=60, **options)


def test_it_is_a_task_of_apps_that_are_made_before_and_after() -> None:
    before = new("before", queue="b")

    @shared_task(name="add", max_retries=2)
    def add(first: int, second: int) -> int:
        return first + second

    after = new("after", queue="a")
    assert "add" in before.tasks
    assert "add" in after.tasks
    assert add.delay(1, 2).get() == 3
    assert (add.queue, add.app, add.max_retries) == ("a", after, 2)
    assert add(1, 2) == 3
    before.set_current()
    assert (add.queue, add.app) == ("b", before)
    after.set_default()
    assert add.app is after
    assert isinstance(add, Task)
    assert repr(add) == "<shared task add>"


def test_inside_a_task_it_is_that_of_the_app_that_runs_it() -> None:
    @shared_task
    async def inner() -> str:
        return "x"

    first, second = new("first"), new("second")

    def outer() -> str:
        return str(inner.app.name)

    assert first.task(name="outer")(outer).delay().get() == "first"
    assert second.task(name="outer")(outer).delay().get() == "second"
    assert isinstance(inner, AsyncTask)


def test_somebody_who_knows_says_which_app_is_current_but_not_inside_of_tasks() -> None:
    """As Flask does, whose applications may be several in a process: the last one would be wrong in the others' requests."""

    @shared_task
    def whose() -> str:
        return str(whose.app.name)

    first, second = new("first"), new("second")
    known: list[TaskFlow] = []

    def find() -> TaskFlow | None:
        return known[0] if known else None

    TaskFlow.find_current_by(find)
    TaskFlow.find_current_by(find)
    try:
        assert registry.finders.count(find) == 1
        assert whose.app is second
        known.append(first)
        assert whose.app is first
        assert AsyncResult(whose.delay().id).get() == "first"
        assert second.tasks[whose.name].delay().get() == "second"
    finally:
        registry.finders.remove(find)


def test_options_beside_the_function_hold() -> None:
    """`app.task(function, queue="images")`, as Celery takes it, had lost them without a word."""

    def resize() -> None: ...

    app = new("shop")

    assert app.task(resize, queue="images").queue == "images"
    assert shared_task(resize, name="shared resize", queue="slow").queue == "slow"


def test_it_takes_what_a_task_of_an_app_takes() -> None:
    class Mine(Task):  # type: ignore[type-arg]
        greeting = "hello"

    @shared_task(bind=True, base=Mine)
    def greet(self: Any, name: str) -> str:
        return f"{self.greeting} {name} of {self.app.name}"

    app = new("shop")
    assert greet.delay("you").get() == "hello you of shop"
    assert app.tasks[greet.name].delay("you").get() == "hello you of shop"


def test_what_cannot_be_is_refused_whether_there_is_an_app_or_not() -> None:
    with pytest.raises(UnknownOption, match="rate_limit"):
        shared_task(rate_limit="1/s")(len)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match=r"uses self\.update_state"):
        shared_task(bind=True)(states)
    assert not registry.shared


def states(self: Any) -> None:
    self.update_state(state="PROGRESS")


def test_without_an_app_it_can_be_called_and_not_enqueued() -> None:
    @shared_task
    def add(first: int, second: int) -> int:
        return first + second

    assert add(1, 2) == 3
    with pytest.raises(ConfigurationError, match="is shared, and there is no app in this process"):
        add.delay(1, 2)


def reloaded() -> int:
    return 1


def test_a_module_that_is_reloaded_declares_it_again() -> None:
    app = new("shop")
    first = shared_task(reloaded)
    second = shared_task(reloaded)
    assert registry.shared == [second]
    assert first.name in app.tasks
    assert len(new("other").tasks) == 1


def test_it_is_pickled_by_its_name() -> None:
    task = shared_task(reloaded)
    assert pickle.loads(pickle.dumps(task)) is task
    data = pickle.dumps(task)
    registry.shared.clear()
    with pytest.raises(TaskNotRegistered):
        pickle.loads(data)


def test_an_app_that_is_gone_is_not_current() -> None:
    task = shared_task(reloaded)
    app = new("stays")
    new("goes")
    gc.collect()
    assert task.app is app
