"""What `.delay()` and its like make of a call, and what they refuse before anything is sent."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.errors import (
    DuplicateTask,
    EnqueueError,
    InvalidArguments,
    InvalidOption,
    InvalidQueueName,
    InvalidTaskId,
    PayloadTooLarge,
    UnknownOption,
)
from tests.unit.tasks.conftest import NOWHERE


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


def test_durations_are_seconds_or_timedeltas(resize: Any) -> None:
    for retention in (90, 90.0, timedelta(minutes=1.5)):
        sender = resize.options(retention=retention)
        assert resize._make_call(("a.png",), {}, sender._options).message.retention == 90


def test_the_errors_say_who_decides() -> None:
    """`except EnqueueError` around `.delay()` catches what concerns this call, not the program's mistakes."""
    assert issubclass(DuplicateTask, EnqueueError)
    assert issubclass(InvalidArguments, EnqueueError)
    assert not issubclass(UnknownOption, EnqueueError)
