"""`task_routes` and `task_annotations`: what an app says of tasks by their names."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.errors import InvalidOption, TaskFailed, UnknownOption

asked: list[tuple[Any, ...]] = []


@pytest.fixture
def app() -> TaskFlow:
    asked.clear()
    return TaskFlow("shop", broker="redis://127.0.0.1:1", eager=True, retention=60)


def work(x: int = 0) -> int:
    return x


def by_size(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **others: Any) -> Any:
    asked.append((name, args, kwargs))
    if name == "odd":
        return {"exchange": "x"}
    return {"queue": "large"} if kwargs.get("x", 0) > 9 else "medium" if kwargs.get("x", 0) > 5 else None


ROUTES: dict[Any, Any] = {
    "feed.import": {"queue": "imports", "max_retries": 1},
    "feed.*": "feeds",
    re.compile(r"(video|image)\.tasks\..*"): {"queue": "media"},
}


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("feed.import", "imports"),
        ("feed.other", "feeds"),
        ("image.tasks.resize", "media"),
        ("refeed.x", "default"),
    ],
)
@pytest.mark.parametrize("routes", [ROUTES, [ROUTES], tuple(ROUTES.items()), [{}, list(ROUTES.items())]])
def test_a_task_goes_where_its_name_says(app: TaskFlow, name: str, queue: str, routes: Any) -> None:
    before = app.task(name=name)(work)
    app.conf.task_routes = routes
    after = app.task(name=name)(work)

    assert before.queue == after.queue == queue
    assert before.delay().queue == queue
    assert before.max_retries == (1 if queue == "imports" else 25)
    assert after.options(queue="call").delay().queue == "call"
    assert app.task(name=name, queue="own")(work).delay().queue == "own"
    assert app.send(name).queue == "own"


def test_tasks_that_the_app_does_not_know_are_routed_too(app: TaskFlow) -> None:
    app.conf.task_routes = ROUTES
    assert app._named("feed.go", ()).queue == "feeds"
    app.conf.task_routes = [by_size]
    task = app._named("go", ())
    assert task._make_call((), {"x": 10}, task._options).terms.queue == "large"


def test_a_function_decides_on_each_call_that_names_no_queue(app: TaskFlow) -> None:
    app.conf.task_routes = (by_size, {"feed.*": {"queue": "feeds"}})
    task = app.task(name="feed.x")(work)

    assert [task.delay(x=size).queue for size in (1, 6, 10)] == ["feeds", "medium", "large"]
    assert asyncio.run(task.adelay(x=10)).queue == "large"
    assert task.apply_async((), {"x": 10}, countdown=0).queue == "large"
    assert [item.result.queue for item in task.map([{"x": 1}, {"x": 6}])] == ["feeds", "medium"]  # type: ignore[union-attr]
    assert len(asked) == 7
    assert task.options(queue="default").delay(x=10).queue == "default", "named, though it is the default one"
    assert app.task(name="own", queue="own")(work).delay(x=10).queue == "own"
    assert len(asked) == 7
    assert type(task.queue) is str


def test_a_router_may_be_named_and_what_it_cannot_say_is_refused_at_the_call(app: TaskFlow) -> None:
    app.conf.task_routes = f"{__name__}.by_size"
    assert app.task(name="large")(work).delay(x=10).queue == "large"
    with pytest.raises(UnknownOption, match="`exchange`: use `queue`"):
        app.task(name="odd")(work).delay()
    assert app.task(name="small")(work).delay(x=1).queue == "default"


@pytest.mark.parametrize(
    ("routes", "error", "words"),
    [
        ({"x": {"routing_key": "y"}}, UnknownOption, "`routing_key`: use `queue`"),
        ({"x": {"queue": "a{b}"}}, InvalidOption, "queue"),
        ({"x": 3}, InvalidOption, "the route of 'x' is a queue or a dict"),
        (3, InvalidOption, "a dict of names and patterns, a function"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(
    app: TaskFlow, routes: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        app.conf.task_routes = routes


def test_routes_may_be_taken_back(app: TaskFlow) -> None:
    task = app.task(name="feed.x")(work)
    app.conf.task_routes = [by_size, ROUTES]
    app.conf.task_routes = None
    assert task.delay(x=10).queue == "default"


# --- annotations ---------------------------------------------------------------------------------------------


def test_annotations_go_before_what_the_declaration_says(app: TaskFlow) -> None:
    app.conf.task_annotations = {"*": {"time_limit": 60, "max_retries": 2}, "one": {"max_retries": 1}}
    one = app.task(name="one", max_retries=9, hard_timeout=90)(work)
    two = app.task(name="two", max_retries=9)(work)
    assert (one.max_retries, two.max_retries) == (1, 2)
    made = one._make_call((), {}, one._options).terms.message
    assert made.headers == {"taskflow-hard-timeout": "60"}
    app.conf.task_annotations = ({"one": {"throws": (KeyError,)}}, {"two": {"autoretry_for": (OSError,)}})
    assert (one.max_retries, one._throws) == (9, (KeyError,))
    assert two._policy.decide(ValueError(), retried=0, max_retries=9).action == "archive"


def test_annotations_may_have_hooks(app: TaskFlow) -> None:
    failed: list[Any] = []

    def on_failure(self: Any, exc: BaseException, *others: Any) -> None:
        failed.append((self.name, str(exc)))

    app.conf.task_annotations = {"*": {"on_failure": on_failure, "max_retries": 0}}

    @app.task(name="fails")
    def fails() -> None:
        raise OSError("no route")

    with pytest.raises(TaskFailed):
        fails.delay().get()
    assert failed == [("fails", "no route")]

    app.conf.task_annotations = {"*": {"max_retries": 0}}
    fails.delay()
    assert len(failed) == 1


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"one": {"rate_limit": "10/s"}}, UnknownOption, "`rate_limit`: there are no rate limits"),
        ({"one": 3}, InvalidOption, "task_annotations takes a dict"),
        ({"one": {"before_start": work}}, InvalidOption, "before_start: write it in a class"),
    ],
)
def test_an_annotation_that_cannot_be_is_refused(
    app: TaskFlow, given: Any, error: type[Exception], words: str
) -> None:
    app.task(name="one")(work)
    with pytest.raises(error, match=words):
        app.conf.task_annotations = given
