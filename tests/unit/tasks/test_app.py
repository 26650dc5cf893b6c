"""Apps: declaring tasks, and what an app is given."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Any

import pytest

from taskflow import AsyncTask, Task, TaskFlow
from taskflow.errors import (
    InvalidArguments,
    InvalidBrokerURL,
    InvalidOption,
    InvalidQueueName,
    InvalidSignature,
    TaskAlreadyRegistered,
    TaskNotRegistered,
    UnknownOption,
)
from taskflow.project import project_of
from tests.unit.tasks.conftest import NOWHERE


class TestDeclaring:
    def test_a_task_is_called_after_its_module_and_function(self, app: TaskFlow) -> None:
        @app.task
        def bare() -> None: ...

        @app.task()
        def called() -> None: ...

        assert (
            bare.name == f"{__name__}.TestDeclaring.test_a_task_is_called_after_its_module_and_function.bare"
        )
        assert called.name.endswith(".called")
        assert app.tasks == {bare.name: bare, called.name: called}

    def test_a_name_of_ones_own(self, app: TaskFlow, resize: Any) -> None:
        assert resize.name == "images:resize"
        assert app.get_task("images:resize") is resize
        assert resize.queue == "images"

    def test_a_task_is_still_the_function(self, resize: Any) -> None:
        assert resize("a.png", 100) == "a.png at 100"
        assert (resize.__name__, resize.__module__) == ("resize", resize.function.__module__)

    def test_a_coroutine_function_becomes_an_async_task(self, app: TaskFlow, resize: Any) -> None:
        @app.task
        async def fetch(url: str) -> str:
            return url

        assert type(fetch) is AsyncTask
        assert type(resize) is Task

    def test_the_apps_defaults_hold_unless_the_task_says_otherwise(self) -> None:
        app = TaskFlow("shop", broker=NOWHERE, queue="slow", max_retries=3)

        @app.task(max_retries=7)
        def task() -> None: ...

        message = task._make_call((), {}, task._options).message
        assert (message.queue, message.max_retries) == ("slow", 7)

    def test_two_functions_of_one_name_are_refused(self, app: TaskFlow, resize: Any) -> None:
        with pytest.raises(
            TaskAlreadyRegistered, match=r"two functions claim the task name 'images:resize'.*name="
        ):

            @app.task(name="images:resize")
            def another() -> None: ...

    def test_a_module_that_is_imported_again_may_declare_its_tasks_again(self, app: TaskFlow) -> None:
        def declare(answer: int) -> Any:
            @app.task(name="again")
            def again() -> int:
                return answer

            return again

        declare(1)
        second = declare(2)

        assert app.get_task("again") is second
        assert second() == 2

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"retries": 5}, UnknownOption, "did you mean `max_retries`"),
            ({"priority": 3}, UnknownOption, "weights"),
            ({"id": "1"}, UnknownOption, r"for one call.*\.options\(id="),
            ({"eta": datetime.now(UTC)}, UnknownOption, "for one call"),
            ({"queue": "a{b}"}, InvalidQueueName, "queue"),
            ({"timeout": "30"}, InvalidOption, "timeout"),
            ({"max_retries": -1}, InvalidOption, "max_retries"),
            ({"name": "a b\n"}, InvalidOption, "name"),
        ],
    )
    def test_options_that_cannot_be_are_refused_at_once(
        self, app: TaskFlow, options: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        with pytest.raises(error, match=words):
            app.task(**options)(lambda: None)

    def test_arguments_without_a_name_are_refused(self, app: TaskFlow) -> None:
        def many(*sources: str) -> None: ...
        def nameless(source: str, /) -> None: ...

        for function in (many, nameless):
            with pytest.raises(InvalidSignature, match=function.__name__):
                app.task(function)

    @pytest.mark.parametrize("thing", [5, "name"])
    def test_only_functions_become_tasks(self, app: TaskFlow, thing: Any) -> None:
        with pytest.raises(InvalidSignature, match="from a function"):
            app.task(thing)

    def test_a_task_is_not_made_from_a_task(self, app: TaskFlow, resize: Any) -> None:
        with pytest.raises(InvalidSignature, match="not from Task"):
            app.task(resize)

    def test_an_unreadable_broker_url_is_refused_without_showing_its_password(self) -> None:
        with pytest.raises(InvalidBrokerURL) as caught:
            TaskFlow("shop", broker="redsi://:secret@host")

        assert "secret" not in str(caught.value)

    def test_its_repr_shows_no_password(self) -> None:
        assert "secret" not in repr(TaskFlow("shop", broker="redis://:secret@host:6379"))

    @pytest.mark.parametrize("size", [0, -1, True, "1 MiB", 2.5])
    def test_a_limit_that_cannot_be_is_refused(self, size: Any) -> None:
        with pytest.raises(InvalidOption, match="max_payload"):
            TaskFlow("shop", broker=NOWHERE, max_payload=size)

    def test_the_broker_is_the_apps_then_the_environments_then_embedded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TASKFLOW_BROKER", "redis://from-the-environment")
        assert TaskFlow("shop", broker=NOWHERE).broker_url == NOWHERE
        assert TaskFlow("shop").broker_url == "redis://from-the-environment"
        monkeypatch.delenv("TASKFLOW_BROKER")
        assert TaskFlow("shop").broker_url == project_of(__file__).url
        monkeypatch.setenv("TASKFLOW_BROKER", "")
        assert TaskFlow("shop").broker_url == project_of(__file__).url

    def test_nothing_is_connected_before_it_is_needed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A module with tasks is imported by everything: tests, commands, migrations."""

        def refuse(*_: object) -> None:
            raise AssertionError("connected")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        app = TaskFlow("shop")

        @app.task
        def task() -> int:
            return 1

        assert task() == 1
        assert app.result("1").id == "1"

    def test_send_goes_by_name(self, app: TaskFlow, resize: Any) -> None:
        with pytest.raises(InvalidArguments, match="missing argument `src`"):
            app.send("images:resize", width=5)
        with pytest.raises(TaskNotRegistered, match="'images:crop'"):
            app.get_task("images:crop")
