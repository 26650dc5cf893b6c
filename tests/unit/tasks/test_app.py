"""Apps and tasks: declaring them, and what `.delay()` refuses before anything is sent."""

from __future__ import annotations

import math
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskflow import AsyncTask, CurrentTask, MapItem, Task, TaskFlow, current_task
from taskflow.errors import (
    DuplicateTask,
    EnqueueError,
    InvalidArguments,
    InvalidBrokerURL,
    InvalidOption,
    InvalidQueueName,
    InvalidSignature,
    InvalidTaskId,
    NotInTask,
    PayloadTooLarge,
    TaskAlreadyRegistered,
    TaskNotRegistered,
    UnknownOption,
)

NOWHERE = "redis://127.0.0.1:1"
"""A broker that nobody can reach: what is refused before it is sent never gets there."""


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("shop", broker=NOWHERE)


@pytest.fixture
def resize(app: TaskFlow) -> Any:
    """A task, with its types hidden from type checkers: these tests call it wrongly."""

    @app.task(queue="images", name="images:resize")
    def resize(src: str, width: int = 800, *, crop: bool = False) -> str:
        return f"{src} at {width}"

    return resize


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
        assert (resize.__name__, resize.__module__) == ("resize", __name__)

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

    @pytest.mark.parametrize("size", [0, -1, True, "1 MiB", None])
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
        assert TaskFlow("shop").broker_url == "embedded://"

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


class TestDelay:
    @pytest.mark.parametrize(
        ("args", "kwargs", "words"),
        [
            ((), {}, "missing argument `src`"),
            ((123,), {}, "argument `src`: expected str, got int"),
            (("a.png", "wide"), {}, "argument `width`: expected int, got str"),
            (("a.png", None), {}, "argument `width`"),
            (("a.png", 1, True), {}, "takes 2 positional arguments but 3 were given"),
            (("a.png",), {"src": "b.png"}, "multiple values for argument `src`"),
            (("a.png",), {"widht": 5}, r"unexpected argument `widht` \(did you mean `width`\?\)"),
            (("a.png",), {"width": math.nan}, "width"),
        ],
    )
    def test_wrong_arguments_fail_at_the_caller(
        self, resize: Any, args: tuple[Any, ...], kwargs: dict[str, Any], words: str
    ) -> None:
        """As a TypeError, which names the task and the argument."""
        with pytest.raises(TypeError, match=words) as caught:
            resize.delay(*args, **kwargs)

        assert isinstance(caught.value, InvalidArguments)
        assert "'images:resize'" in str(caught.value)

    def test_a_wrong_argument_is_not_shown(self, app: TaskFlow) -> None:
        """Errors are logged, and arguments are nobody's business."""

        @app.task
        def login(attempts: int) -> None: ...

        with pytest.raises(InvalidArguments) as caught:
            login.delay("correct horse")  # type: ignore[arg-type]

        assert "horse" not in str(caught.value)

    @pytest.mark.parametrize("value", [object(), {1, 2j}, math.inf, [math.nan], lambda: None, "\ud800"])
    def test_what_is_not_json_fails_at_the_caller(self, app: TaskFlow, value: Any) -> None:
        @app.task
        def anything(value: Any) -> None: ...

        with pytest.raises(InvalidArguments, match="argument `value`"):
            anything.delay(value)

    def test_a_payload_over_the_limit_fails_at_the_caller(self, app: TaskFlow) -> None:
        @app.task
        def store(text: str) -> None: ...

        with pytest.raises(PayloadTooLarge, match=r"1,048,577 bytes.*1,048,576.*pass a reference") as caught:
            store.delay("x" * (1024 * 1024 - len('{"text":""}') + 1))

        assert (caught.value.size, caught.value.limit) == (1024 * 1024 + 1, 1024 * 1024)
        assert isinstance(caught.value, ValueError)

    def test_the_limit_is_the_apps(self) -> None:
        app = TaskFlow("shop", broker=NOWHERE, max_payload=20)

        @app.task
        def store(text: str) -> None: ...

        store._make_call(("123456789",), {}, store._options)
        with pytest.raises(PayloadTooLarge, match="21 bytes"):
            store.delay("1234567890")

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"quue": "slow"}, UnknownOption, "there is no option `quue`; did you mean `queue`"),
            ({"queue": "a}b"}, InvalidQueueName, "queue"),
            ({"queue": "a\nb"}, InvalidQueueName, "queue"),
            ({"queue": ""}, InvalidQueueName, "queue"),
            ({"id": "{}"}, InvalidTaskId, "id"),
            ({"delay": -1}, InvalidOption, "delay"),
            ({"delay": 1, "eta": datetime.now(UTC)}, InvalidOption, "contradict"),
            ({"eta": datetime.now()}, InvalidOption, "time zone"),
            ({"unique": 0.5}, InvalidOption, "unique"),
            ({"timeout": 60, "hard_timeout": 30}, InvalidOption, "hard_timeout"),
        ],
    )
    def test_wrong_options_fail_where_they_are_given(
        self, resize: Any, options: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        with pytest.raises(error, match=words):
            resize.options(**options)
        with pytest.raises(error, match=words):
            resize.apply_async(("a.png",), **options)

    def test_an_unknown_option_is_a_type_error(self, resize: Any) -> None:
        with pytest.raises(TypeError):
            resize.options(nonsense=1)

    def test_options_are_laid_over_the_tasks(self, resize: Any) -> None:
        sender = resize.options(queue="slow", max_retries=1, headers={"a": "1"}).options(headers={"b": "2"})

        new = resize._make_call(("a.png",), {}, sender._options)

        assert (new.message.queue, new.message.max_retries) == ("slow", 1)
        assert new.message.headers == {"a": "1", "b": "2"}
        assert resize.queue == "images"

    def test_arguments_travel_by_name(self, app: TaskFlow) -> None:
        """So that a Go handler reads them as a struct; a keyword of Python's goes without its underscore."""

        @app.task
        def email(to: int, from_: int, subject: str = "hello") -> None: ...

        message = email._make_call((123, 456), {}, email._options).message

        assert message.payload == b'{"to":123,"from":456}'

    def test_send_goes_by_name(self, app: TaskFlow, resize: Any) -> None:
        with pytest.raises(InvalidArguments, match="missing argument `src`"):
            app.send("images:resize", width=5)
        with pytest.raises(TaskNotRegistered, match="'images:crop'"):
            app.send("images:crop")


class TestMap:
    def test_what_cannot_be_enqueued_is_an_outcome_of_its_own(self) -> None:
        app = TaskFlow("shop", eager=True, retention=60)

        @app.task
        def double(number: int) -> int:
            return 2 * number

        outcomes = double.map([(1,), ("two",), {"number": 3}, {"nummer": 4}, "5"])  # type: ignore[list-item]

        assert len(outcomes) == 5
        assert [one.index for one in outcomes] == [0, 1, 2, 3, 4]
        assert [one.ok for one in outcomes] == [True, False, True, False, False]
        assert [result.get() for result in outcomes.results] == [2, 6]
        assert [type(one.error) for one in outcomes.failed] == [InvalidArguments] * 3
        assert "expected int" in str(outcomes[1].error)
        assert "tuple of positional arguments or a dict" in str(outcomes[4].error)
        assert repr(outcomes) == "MapResult(2 enqueued, 3 failed)"
        with pytest.raises(EnqueueError, match=r"3 of 5 calls.*; the first is number 1") as caught:
            outcomes.raise_for_errors()
        assert caught.value.__cause__ is outcomes[1].error

    def test_it_is_a_sequence(self) -> None:
        app = TaskFlow("shop", eager=True)

        @app.task
        def task() -> None: ...

        outcomes = task.map(() for _ in range(5))

        assert all(isinstance(one, MapItem) for one in outcomes)
        assert len(outcomes[1:3]) == 2
        assert not outcomes.failed
        outcomes.raise_for_errors()
        assert len(task.map([])) == 0


class TestBind:
    def test_the_running_task_comes_first_and_does_not_travel(self, app: TaskFlow) -> None:
        @app.task(bind=True, queue="images")
        def bound(self: CurrentTask, number: int) -> tuple[str, int]:
            return self.queue, number

        message = bound._make_call((5,), {}, bound._options).message

        assert message.payload == b'{"number":5}'
        assert bound(5) == ("images", 5)  # a plain call gets a stand-in

    def test_the_caller_cannot_give_it(self, app: TaskFlow) -> None:
        @app.task(bind=True)
        def bound(self: CurrentTask, number: int) -> None: ...

        with pytest.raises(InvalidArguments, match=r"`self` is filled by taskflow \(bind=True\)"):
            bound.delay(self=None, number=5)  # type: ignore[call-arg]

    def test_it_needs_a_parameter(self, app: TaskFlow) -> None:
        with pytest.raises(InvalidSignature, match=r"def task\(self, \.\.\.\)"):
            app.task(bind=True, name="unbound")(lambda: None)  # type: ignore[arg-type, misc]


def test_no_task_is_running_outside_of_one() -> None:
    with pytest.raises(NotInTask, match="inside a task only"):
        current_task()
    with pytest.raises(RuntimeError):
        current_task()


def test_durations_are_seconds_or_timedeltas(resize: Any) -> None:
    for retention in (90, 90.0, timedelta(minutes=1.5)):
        sender = resize.options(retention=retention)
        assert resize._make_call(("a.png",), {}, sender._options).message.retention == 90


def test_the_errors_say_who_decides() -> None:
    """`except EnqueueError` around `.delay()` catches what concerns this call, not the program's mistakes."""
    assert issubclass(DuplicateTask, EnqueueError)
    assert issubclass(InvalidArguments, EnqueueError)
    assert not issubclass(UnknownOption, EnqueueError)
