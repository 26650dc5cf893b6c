"""taskflow.contrib.flask: settings, the application's context around each task, several applications; in eager mode."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, current_app, g, has_app_context, has_request_context, request, session

from taskflow import AsyncResult, TaskFlow, shared_task
from taskflow.contrib.flask import FlaskTaskFlow, get_taskflow
from taskflow.errors import ConfigurationError, InvalidBrokerURL, TaskFailed, UnknownOption
from tests.contrib.web import STRICT

taskflow = FlaskTaskFlow(retention=60)


def make(name: str = "shop", **options: Any) -> Flask:
    """What a factory does."""
    app = Flask(name)
    app.config["TASKFLOW"] = {"eager": True, **options}
    taskflow.init_app(app)
    return app


# --- settings -----------------------------------------------------------------------------------------------


def test_the_app_is_made_of_the_settings_and_of_what_the_extension_was_given() -> None:
    app = make(queue="images", queues={"images": {"partitions": 6}}, broker="redis://127.0.0.1:1")

    made = app.extensions["taskflow"]

    assert type(made) is TaskFlow
    assert (made.name, made.broker_url, made.eager) == ("shop", "redis://127.0.0.1:1", True)
    assert made.task(_noop).queue == "images"
    assert FlaskTaskFlow(app=Flask("at once"))  # in one step, without a factory


def test_the_environment_says_it_by_flasks_own_convention(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `from_prefixed_env` a deployment needs no code for its broker and its keys; names are in capitals there."""
    for name, value in {
        "BROKER": "redis://127.0.0.1:7",
        "EAGER": "true",
        "NAME": "of the environment",
        "SIGNING_KEYS": "the-first-of-two-keys, the-second-of-two-keys",
        "QUEUES__images__PARTITIONS": "6",
    }.items():
        monkeypatch.setenv(f"FLASK_TASKFLOW__{name}", value)
    app = Flask("shop")
    app.config["TASKFLOW"] = {"broker": "redis://127.0.0.1:1", "retention": 600}
    app.config.from_prefixed_env()

    made = taskflow.init_app(app)

    assert (made.broker_url, made.eager, made.name) == ("redis://127.0.0.1:7", True, "of the environment")
    assert made.submit  # it has keys
    assert made.task(_noop, queue="images").delay().queue == "images"


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        (
            {"TASKFLOW_BROKER": "redis://x"},
            ConfigurationError,
            "FLASK_TASKFLOW__BROKER, with two underscores",
        ),
        ({"TASKFLOW": "redis://127.0.0.1"}, ConfigurationError, "is a dict of what TaskFlow takes"),
        ({"TASKFLOW": {"BROKER_URL": "redis://x"}}, UnknownOption, "did you mean 'broker'"),
        ({"TASKFLOW": {"broker": "http://127.0.0.1"}}, InvalidBrokerURL, "http"),
        ({"TASKFLOW": {"result_backend": "redis://x"}}, UnknownOption, "results are kept with their tasks"),
    ],
)
def test_settings_that_cannot_be_are_refused_where_the_app_is_made(
    config: dict[str, Any], error: type[Exception], words: str
) -> None:
    """Not in the worker, and not by using another broker than the one that was meant."""
    app = Flask("shop")
    app.config.update(config)

    with pytest.raises(error, match=words):
        taskflow.init_app(app)
    assert "taskflow" not in app.extensions


def test_an_application_has_one_app() -> None:
    app = make()

    with pytest.raises(ConfigurationError, match="has a TaskFlow already"):
        taskflow.init_app(app)


# --- the application's context ------------------------------------------------------------------------------


def look() -> list[object]:
    """What a task sees."""
    seen = g.get("seen")
    g.seen = True
    return [current_app.name, seen, has_request_context()]


async def alook() -> list[object]:
    return look()


def later() -> Any:
    return alook()


@pytest.mark.parametrize("function", [look, alook, later])
def test_each_task_has_a_context_of_its_own(function: Callable[[], Any]) -> None:
    """Functions, coroutine functions, and functions that return a coroutine; nothing of one is there for the next."""
    app = make()
    task = app.extensions["taskflow"].task(function)

    assert [task.delay().get() for _ in range(2)] == [["shop", None, False]] * 2
    assert not has_app_context()


@pytest.mark.parametrize("function", [look, alook])
def test_a_task_never_sees_the_request_that_has_enqueued_it(function: Callable[[], Any]) -> None:
    """In eager mode it runs inside the request, in the thread of the view: what passes there must not fail in a worker."""
    app = make()
    task = app.extensions["taskflow"].task(function)

    @app.get("/")
    def view() -> list[object]:
        g.seen = "of the view"
        return [*task.delay().get(), g.seen]

    assert app.test_client().get("/").json == ["shop", None, False, "of the view"]


@pytest.mark.parametrize("ask", [lambda: request.path, lambda: session["user"]])
def test_request_and_session_raise_in_a_task(ask: Callable[[], object]) -> None:
    app = make(max_retries=0)
    app.secret_key = "of-a-test"
    task = app.extensions["taskflow"].task(ask, name="ask")

    @app.get("/")
    def view() -> str:
        with pytest.raises(TaskFailed, match="outside of request context"):
            task.delay().get()
        return "refused"

    assert app.test_client().get("/").text == "refused"


def test_what_is_torn_down_is_told_what_the_task_failed_with() -> None:
    """As after a request: an extension that commits at the end does so only after success."""
    app = make(max_retries=0)
    told: list[BaseException | None] = []
    app.teardown_appcontext(told.append)
    task = app.extensions["taskflow"].task(_fail_if)

    assert task.delay(fail=False).get() is None
    with pytest.raises(TaskFailed):
        task.delay(fail=True).get()

    assert [type(one) for one in told] == [type(None), ValueError]


def test_other_middleware_and_dependencies_are_inside_the_context() -> None:
    app = make()
    made = app.extensions["taskflow"]
    seen: list[str] = []

    @made.middleware
    def inside(task: Any) -> Any:
        seen.append(current_app.name)
        yield

    made.task(_noop).delay()

    assert seen == ["shop"]


# --- shared tasks, and several applications -----------------------------------------------------------------


def test_a_shared_task_goes_through_the_application_whose_context_is_here() -> None:
    """The one that was made last would be the wrong one, with the wrong broker, for every request of the other."""

    @shared_task
    def whose() -> str:
        return current_app.name

    first, second = make("first"), make("second")
    for app in (first, second):
        app.add_url_rule("/", "view", lambda: whose.delay().get())

    assert [app.test_client().get("/").text for app in (first, second, first)] == ["first", "second", "first"]
    with first.app_context():
        assert get_taskflow() is whose.app is first.extensions["taskflow"]
        handle = whose.delay()
        assert AsyncResult(handle.id).get() == "first"
    assert whose.app is second.extensions["taskflow"]


def test_a_task_of_one_application_that_enqueues_stays_with_it() -> None:
    @shared_task
    def whose() -> str:
        return current_app.name

    first, second = make("first"), make("second")
    ids: list[str] = []
    outer = first.extensions["taskflow"].task(lambda: ids.append(whose.delay().id), name="outer")

    with second.app_context():
        outer.delay()
    assert first.extensions["taskflow"].result(ids[0]).get() == "first"


def test_the_app_of_an_application_without_one_is_asked_for_in_vain() -> None:
    with Flask("bare").app_context(), pytest.raises(ConfigurationError, match="'bare' has no TaskFlow"):
        get_taskflow()
    with pytest.raises(RuntimeError, match="outside of application context"):
        get_taskflow()


def test_an_application_that_a_test_has_made_goes_with_the_test() -> None:
    """A suite makes one for each test: nothing may keep them."""
    made = weakref.ref(make())

    gc.collect()

    assert made() is None


def test_a_task_called_as_a_function_has_the_context_of_its_caller() -> None:
    """So a unit test of the function needs what it uses, and no more."""
    app = make()
    task = app.extensions["taskflow"].task(look)

    with app.test_request_context("/"):
        assert task() == ["shop", None, True]


def test_taskflow_itself_imports_no_flask() -> None:
    code = "import sys, taskflow, taskflow.contrib, taskflow.tasks.app, taskflow.cli.main; print('flask' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], env=STRICT, capture_output=True, text=True, timeout=60
    )

    assert said.stdout == "False\n", said.stderr


def _noop() -> None: ...


def _fail_if(fail: bool) -> None:
    if fail:
        raise ValueError("no")
