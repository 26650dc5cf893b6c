"""`base=`: a task made of a class of one's own does what it does in Celery."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import Any

import pytest

from taskflow import CurrentTask, Reject, Task, TaskFlow, current_task
from taskflow.errors import InvalidOption, TaskFailed, UnknownOption

told: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    told.clear()


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("shop", broker="redis://127.0.0.1:1", eager=True, retention=60)


class Telling(Task):  # type: ignore[type-arg]
    """Tells of everything."""

    abstract = True
    max_retries = 1
    throws = (KeyError,)

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        told.append(("before_start", task_id == current_task().id, args, dict(kwargs)))

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        told.append(("on_success", retval, args, kwargs))
        super().on_success(retval, task_id, args, kwargs)

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        told.append(("on_failure", str(exc), kwargs, "in works" in str(einfo), einfo.exception is exc))

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        told.append(("on_retry", str(exc)))

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        told.append(("after_return", status, str(retval)))


def works(number: int) -> int:
    if number < 0:
        raise ValueError("below zero")
    if number == 0:
        raise Reject("nothing")
    return 2 * number


async def aworks(number: int) -> int:
    await asyncio.sleep(0)
    return works(number)


@pytest.mark.parametrize("function", [works, aworks])
def test_the_hooks_of_the_class_are_told_of_attempts_as_in_celery(app: TaskFlow, function: Any) -> None:
    task = app.task(base=Telling)(function)

    assert task.delay(2).get() == 4
    assert told == [
        ("before_start", True, (), {"number": 2}),
        ("on_success", 4, (), {"number": 2}),
        ("after_return", "SUCCESS", "4"),
    ]

    told.clear()
    task.delay(-1)
    assert [one for one in told if one[0] != "before_start"] == [
        ("on_retry", "below zero"),
        ("on_failure", "below zero", {"number": -1}, True, True),
        ("after_return", "FAILURE", "below zero"),
    ]

    told.clear()
    task.delay(0)
    assert [one[0] for one in told] == ["before_start"], (
        "what the task has rejected itself is no failure of it"
    )


def test_a_hook_that_raises_costs_no_verdict_and_no_other_hook(
    app: TaskFlow, caplog: pytest.LogCaptureFixture
) -> None:
    from taskflow.telemetry import events
    from taskflow.telemetry.events import attach
    from taskflow.telemetry.task_lines import LINES

    class Broken(Task):  # type: ignore[type-arg]
        def on_success(self, *args: Any) -> None:
            raise SystemExit(3)

        def after_return(self, *args: Any) -> None:
            told.append(("after_return",))

    stop = attach(lambda event: LINES[type(event)](event), [events.HookRaised])
    try:
        assert app.task(base=Broken)(works).delay(1).get() == 2
    finally:
        stop()
    assert told == [("after_return",)]
    assert "The hook on_success of task" in caplog.text


def test_what_before_start_raises_is_what_the_attempt_failed_with(app: TaskFlow) -> None:
    class Refusing(Task):  # type: ignore[type-arg]
        max_retries = 0

        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            raise ValueError("not today")

    with pytest.raises(TaskFailed, match="not today"):
        app.task(base=Refusing)(works).delay(1).get()


class DatabaseTask(Task):  # type: ignore[type-arg]
    """As in Celery's documentation."""

    _db: list[int] | None = None

    @property
    def db(self) -> list[int]:
        if self._db is None:
            self._db = []
        return self._db


def test_self_is_the_instance_of_the_class_and_the_running_task(app: TaskFlow) -> None:
    @app.task(base=DatabaseTask, bind=True, max_retries=2, queue="rows", name="process")
    def process(self: Any, row: int) -> list[int]:
        assert isinstance(self, DatabaseTask)
        assert self is process
        assert (self.name, self.queue, self.max_retries) == ("process", "rows", 2)
        assert self.request.id == self.id == current_task().id
        assert self.retried == self.request.retries
        self.db.append(row)
        self.attempts = len(self.db)
        if self.retried == 0:
            self.retry(countdown=1)
        return self.db

    @app.task(base=DatabaseTask, bind=True)
    def other(self: Any) -> int:
        return len(self.db)

    assert process.delay(7).get() == [7, 7]
    assert process.attempts == 2  # type: ignore[attr-defined]
    assert other.delay().get() == 0, "each task has an instance of its own"


def test_the_class_may_have_an_init_of_its_own(app: TaskFlow) -> None:
    class Server(Task):  # type: ignore[type-arg]
        def __init__(self) -> None:
            super().__init__()
            self.users = {"george": "password"}

    @app.task(base=Server, bind=True)
    def login(self: Any, user: str) -> bool:
        return user in self.users

    assert login.delay("george").get() is True
    assert login("nobody") is False


def test_what_the_class_makes_of_a_call_is_what_an_attempt_calls(app: TaskFlow) -> None:
    """Flask's documentation has it so: every task runs in the context of the app."""

    @contextmanager
    def app_context() -> Any:
        told.append(("in",))
        yield
        told.append(("out",))

    class ContextTask(Task):  # type: ignore[type-arg]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            with app_context():
                return self.run(*args, **kwargs)

    task = app.task(base=ContextTask)(works)
    assert task.delay(2).get() == 4
    assert told == [("in",), ("out",)]
    assert task(2) == 4
    assert len(told) == 4

    @app.task(base=ContextTask, bind=True)
    def bound(self: Any, number: int) -> int:
        return number + int(self.request.retries)

    assert bound.delay(3).get() == 3


def test_delay_goes_through_an_apply_async_of_the_classs_own(app: TaskFlow) -> None:
    class Traced(Task):  # type: ignore[type-arg]
        def apply_async(
            self, args: Any = None, kwargs: Any = None, task_id: Any = None, **options: Any
        ) -> Any:
            headers = {"trace": "17"}
            return super().apply_async(args, kwargs, task_id=task_id, link=None, headers=headers, **options)

    @app.task(base=Traced, bind=True)
    def trace(self: Any) -> str:
        return str(self.request.headers["trace"])

    assert trace.delay().get() == "17"


def test_attributes_of_the_class_are_options_and_the_declaration_goes_before_them(app: TaskFlow) -> None:
    class Slow(Telling):
        queue = "slow"
        time_limit = 90
        retry_backoff = 5
        retry_jitter = False
        ignore_result = None

    task = app.task(base=Slow)(works)
    message = task._make_call((1,), {}, task._options).terms.message
    assert (message.queue, message.max_retries, message.headers) == (
        "slow",
        1,
        {"taskflow-hard-timeout": "90"},
    )
    assert task._policy.decide(OSError(), retried=0, max_retries=1).delay == 5
    assert task._throws == (KeyError,)
    other = app.task(base=Slow, queue="quick", hard_timeout=20, max_retries=4)(works)
    message = other._make_call((1,), {}, other._options).terms.message
    assert (message.queue, message.max_retries, message.headers) == (
        "quick",
        4,
        {"taskflow-hard-timeout": "20"},
    )
    assert (other.queue, other.max_retries) == ("quick", 4)


def test_what_a_class_cannot_say_is_refused_where_a_task_is_made_of_it(app: TaskFlow) -> None:
    class Limited(Task):  # type: ignore[type-arg]
        rate_limit = "10/m"

    class Early(Task):  # type: ignore[type-arg]
        acks_late = False

    class Runs(Task):  # type: ignore[type-arg]
        def run(self) -> None: ...

    class Awaits(Task):  # type: ignore[type-arg]
        async def on_failure(self, *args: Any) -> None: ...  # type: ignore[override]

    with pytest.raises(UnknownOption, match="`rate_limit`: there are no rate limits"):
        app.task(base=Limited)(works)
    for base, words in (
        (Early, "`acks_late` cannot be False"),
        (Runs, r"Runs.run is called by nobody"),
        (Awaits, "cannot be asynchronous"),
        (dict, "derived from taskflow.Task"),
        (works, "derived from taskflow.Task"),
    ):
        with pytest.raises(InvalidOption, match=words):
            app.task(base=base)(works)


def test_a_task_of_a_class_says_what_it_has_not(app: TaskFlow) -> None:
    task = app.task(base=DatabaseTask)(works)
    with pytest.raises(AttributeError, match=r"has no attribute 'update_state': self\.progress"):
        task.update_state  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'dbb'"):
        task.dbb  # type: ignore[attr-defined]  # noqa: B018


def test_without_a_class_nothing_of_this_is_called(app: TaskFlow, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    @app.task(bind=True)
    def plain(self: CurrentTask) -> bool:
        return isinstance(self, CurrentTask)

    assert plain.delay().get() is True
    assert not plain._hooks
