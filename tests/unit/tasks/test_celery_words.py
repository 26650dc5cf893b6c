"""What a task written for Celery says of itself and of its attempts: it means here what it means there, or is refused."""

from __future__ import annotations

import logging
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskflow import CurrentTask, Reject, Retry, Snooze, TaskFlow, current_task
from taskflow.errors import InvalidOption, MaxRetriesExceeded, TaskFailed, UnknownOption
from taskflow.options.refused import REQUEST, TASK
from taskflow.options.table import BY_NAME

ALWAYS = [option for option in BY_NAME.values() if option.always is not None]


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("shop", broker="redis://127.0.0.1:1", eager=True, retention=60)


# --- self.request --------------------------------------------------------------------------------------------


def test_self_request_has_the_facts_about_the_attempt_by_celerys_names(app: TaskFlow) -> None:
    """They failed in the worker, 25 times over three weeks."""
    seen: list[Any] = []

    @app.task(bind=True, name="fetch", queue="pages", time_limit=30, timeout=20)
    def fetch(self: CurrentTask, url: str, depth: int = 2) -> None:
        request = self.request
        seen.append(request)
        assert (request.id, request.correlation_id, request.task) == (self.id, self.id, "fetch")
        assert request.delivery_info == {"exchange": "", "routing_key": "pages", "is_eager": True}
        assert request.hostname.startswith("taskflow@")
        assert (request.called_directly, request.is_eager, request.timelimit) == (False, True, (30.0, 20.0))
        assert datetime.fromisoformat(request.expires or "") > datetime.now(UTC)
        assert request.get("retries") == 0
        assert request.get("nothing", "else") == "else"
        assert (self.name, self.max_retries, self.app) == ("fetch", 25, app)  # type: ignore[attr-defined]

    fetch.options(headers={"order": "17"}, expires=60).delay("secret://x")

    request = seen[0]
    assert (request.args, request.kwargs, request.headers["order"]) == ((), {"url": "secret://x"}, "17")
    assert request.order == "17"
    assert "secret" not in repr(request)


def test_another_attempt_says_how_many_there_were_and_expires_no_more(app: TaskFlow) -> None:
    seen: list[tuple[int, str | None]] = []

    @app.task(bind=True, max_retries=1)
    def flaky(self: CurrentTask) -> None:
        seen.append((self.request.retries, self.request.expires and "soon"))
        raise OSError

    flaky.options(expires=60).delay()
    assert seen == [(0, "soon"), (1, None)]


@pytest.mark.parametrize("name", sorted(REQUEST))
def test_what_a_request_has_not_is_answered_with_what_to_use(app: TaskFlow, name: str) -> None:
    @app.task
    def noop() -> None: ...

    with pytest.raises(AttributeError, match=f"self.request has no {name!r}: .{{15}}"):
        getattr(noop.request, name)
    assert noop.request.get(name) is None


def test_positional_arguments_and_facts_of_amqp_are_answered_too(app: TaskFlow) -> None:
    @app.task
    def noop() -> None: ...

    with pytest.raises(IndexError, match=r"arguments travel by name"):
        noop.request.args[0]
    with pytest.raises(KeyError, match="delivery_info has no 'redelivered'"):
        noop.request.delivery_info["redelivered"]


@pytest.mark.parametrize("name", sorted(TASK))
def test_what_a_task_has_not_is_answered_with_what_to_use(app: TaskFlow, name: str) -> None:
    @app.task
    def noop() -> None: ...

    with pytest.raises(AttributeError, match=f"has no attribute {name!r}: .{{15}}"):
        getattr(noop, name)
    with pytest.raises(AttributeError, match=f"{name!r} of task .* is not set afterwards"):
        setattr(noop, name, 1)


def test_an_option_is_not_set_on_a_task_to_no_effect(app: TaskFlow) -> None:
    @app.task
    def noop() -> None: ...

    with pytest.raises(AttributeError, match=r"give it to the declaration, @app.task\(max_retries=...\)"):
        noop.max_retries = 3  # type: ignore[misc]


def test_current_task_is_a_function_and_celerys_object(app: TaskFlow) -> None:
    """`from celery import current_task`, then `current_task.request.id`: it failed in the worker."""

    @app.task(name="who", retention=60)
    def who() -> list[Any]:
        assert current_task
        return [current_task.request.id, current_task.name, current_task().id]  # type: ignore[attr-defined]

    handle = who.delay()
    assert handle.get() == [handle.id, "who", handle.id]
    assert not current_task
    with pytest.raises(AttributeError, match="no task is running"):
        current_task.request  # type: ignore[attr-defined]  # noqa: B018
    assert pickle.loads(pickle.dumps(current_task)) is current_task


# --- self.retry ----------------------------------------------------------------------------------------------


def test_retry_runs_the_task_again_until_its_retries_are_spent_and_then_raises_what_went_wrong(
    app: TaskFlow,
) -> None:
    tries: list[int] = []

    @app.task(bind=True, max_retries=2)
    def fetch(self: CurrentTask) -> None:
        tries.append(self.request.retries)
        try:
            raise OSError("no route")
        except OSError as error:
            self.retry(exc=error, countdown=60)

    result = fetch.delay()
    with pytest.raises(TaskFailed, match="no route") as caught:
        result.get()
    assert type(caught.value.__cause__) is OSError
    assert tries == [0, 1, 2]


@pytest.mark.parametrize(("own", "asked"), [(25, 1), (0, 1)])
def test_retrys_own_max_retries_goes_before_the_tasks(app: TaskFlow, own: int, asked: int) -> None:
    """What went wrong is final then, though the policy would try such an exception again."""
    tries: list[int] = []

    @app.task(bind=True, max_retries=own)
    def fetch(self: CurrentTask) -> None:
        tries.append(self.request.retries)
        self.retry(exc=OSError("no route"), max_retries=asked)

    result = fetch.delay()
    with pytest.raises(TaskFailed, match="no route"):
        result.get()
    assert tries == [0, 1]


def test_without_an_exception_there_is_one_that_says_so(app: TaskFlow) -> None:
    @app.task(bind=True, max_retries=0, autoretry_for=(MaxRetriesExceeded,))
    def fetch(self: CurrentTask) -> None:
        self.retry()

    result = fetch.delay()
    with pytest.raises(TaskFailed, match="has had all its retries \\(0\\)"):
        result.get()


def test_an_exception_that_is_raised_anew_elsewhere_is_no_last_one_there(app: TaskFlow) -> None:
    """A module may have one object that it raises again and again."""
    error, tries = OSError("shared"), []

    @app.task(bind=True, max_retries=0)
    def first(self: CurrentTask) -> None:
        self.retry(exc=error)

    @app.task(max_retries=2)
    def second() -> None:
        tries.append(1)
        raise error

    first.delay()
    second.delay()
    assert len(tries) == 3


def test_a_retry_that_is_not_thrown_holds_when_the_task_returns(app: TaskFlow) -> None:
    @app.task(bind=True)
    def patient(self: CurrentTask) -> int:
        if self.request.retries < 2:
            assert isinstance(self.retry(countdown=3600, throw=False), Retry)
        return self.request.retries

    assert patient.delay().get() == 2


def test_a_retry_at_a_moment_waits_until_then(app: TaskFlow) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)

    @app.task(bind=True)
    def fetch(self: CurrentTask) -> None:
        with pytest.raises(Retry) as asked:
            self.retry(eta=at)
        assert 3590 < (asked.value.delay or 0) <= 3600
        with pytest.raises(TypeError, match="time zone"):
            self.retry(eta=datetime(2030, 1, 1))
        with pytest.raises(TypeError, match="one of delay, countdown and eta"):
            self.retry(eta=at, countdown=3)
        for others in ({"args": ()}, {"kwargs": {}}, {"queue": "slow"}):
            with pytest.raises(
                UnknownOption, match=r"another attempt at .* has its arguments, queue and options"
            ):
                self.retry(**others)  # type: ignore[call-overload]

    fetch.delay().get()


def test_a_direct_call_raises_what_went_wrong_itself(app: TaskFlow) -> None:
    @app.task(bind=True)
    def fetch(self: CurrentTask) -> None:
        assert self.request.called_directly
        self.retry(exc=OSError("no route"))

    with pytest.raises(OSError, match="no route"):
        fetch()


def test_the_text_of_what_went_wrong_is_kept_only_where_texts_are() -> None:
    app = TaskFlow("shop", broker="redis://127.0.0.1:1", eager=True, error_text=False)

    @app.task(max_retries=0)
    def fetch() -> None:
        current_task().retry(exc=OSError("secret"))

    with pytest.raises(TaskFailed) as caught:
        fetch.delay().get()
    assert "secret" not in str(caught.value)
    assert "OSError" in str(caught.value)


def test_celerys_ways_to_write_verdicts_are_understood(app: TaskFlow) -> None:
    """`raise Reject(reason, requeue=False)`, `raise Retry("text", exc, when)`: a TypeError in the worker, which is retried."""
    error, tries = OSError("no route"), []

    @app.task
    def task(kind: str) -> int:
        tries.append(kind)
        if len(tries) > 1:
            return len(tries)
        raise {
            "reject": lambda: Reject(error, requeue=False),
            "requeue": lambda: Reject("later", requeue=True),
            "retry": lambda: Retry("busy", error, 60),
            "when": lambda: Retry(exc=error, when=datetime.now(UTC) + timedelta(minutes=1)),
        }[kind]()

    with pytest.raises(TaskFailed, match="no route"):
        task.delay("reject").get()
    for kind in ("retry", "when"):
        tries.clear()
        assert task.delay(kind).get() == 2
    assert isinstance(Reject("later", requeue=True), Snooze)
    assert Retry("busy", error, 60).delay == 60
    assert 58 < (Retry(when=datetime.now(UTC) + timedelta(minutes=1)).delay or 0) <= 60


# --- options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ALWAYS, ids=lambda option: option.name)
def test_what_holds_in_any_case_may_be_said_and_its_opposite_may_not(app: TaskFlow, option: Any) -> None:
    app.task(**{option.name: option.always})(sorted_)
    other = "pickle" if option.always == "json" else False
    with pytest.raises(InvalidOption, match=f"`{option.name}` cannot be {other!r}, only"):
        app.task(**{option.name: other})(sorted_)


def sorted_() -> None: ...


def test_results_are_kept_or_dropped_by_celerys_word(app: TaskFlow) -> None:
    """`FlaskTask` is declared with `ignore_result=False`, and its `.get()` said that no result was kept."""
    plain = TaskFlow("plain", broker="redis://127.0.0.1:1")

    def retention(app: TaskFlow, **options: Any) -> int:
        task = app.task(**options)(sorted_)
        return task._make_call((), {}, task._options).terms.message.retention

    assert retention(plain) == 0
    assert retention(plain, ignore_result=False) == 86400
    assert retention(app, ignore_result=False) == 60, "the app says how long"
    assert retention(app, ignore_result=True) == 0
    with pytest.raises(InvalidOption, match="contradict"):
        app.task(ignore_result=True, retention=5)(sorted_)


def test_retry_kwargs_are_the_options_that_they_stand_for(app: TaskFlow) -> None:
    task = app.task(autoretry_for=(OSError,), retry_kwargs={"max_retries": 7, "countdown": 2})(sorted_)
    assert task.max_retries == 7
    assert task._policy.decide(OSError(), retried=0, max_retries=7).delay == 2
    growing = app.task(retry_backoff=4, retry_jitter=False, retry_kwargs={"countdown": 2})(sorted_)
    assert growing._policy.decide(OSError(), retried=0, max_retries=7).delay == 4
    with pytest.raises(InvalidOption, match="cannot hold 'throw'"):
        app.task(retry_kwargs={"throw": False})(sorted_)
    with pytest.raises(InvalidOption, match="contradict"):
        app.task(max_retries=3, retry_kwargs={"max_retries": 7})(sorted_)


def test_what_is_expected_to_be_raised_is_no_error_in_the_log_and_not_tried_again(
    app: TaskFlow, caplog: pytest.LogCaptureFixture
) -> None:
    from taskflow.telemetry import events
    from taskflow.telemetry.events import attach
    from taskflow.telemetry.task_lines import LINES

    tries: list[int] = []

    @app.task(throws=(KeyError,))
    def expected() -> None:
        tries.append(1)
        raise KeyError("gone")

    @app.task(throws=KeyError, autoretry_for=(LookupError,), max_retries=1)
    def tried() -> None:
        tries.append(1)
        raise KeyError("gone")

    @app.task(throws=KeyError, max_retries=0)
    def other() -> None:
        raise ValueError("oh")

    stop = attach(lambda event: LINES[type(event)](event), [events.Archived, events.Retried])
    try:
        with caplog.at_level(logging.INFO, "taskflow"):
            expected.delay()
            assert (len(tries), [record.levelname for record in caplog.records]) == (1, ["INFO"])
            assert caplog.records[0].exc_info is None
            tried.delay()
            assert (len(tries), [record.levelname for record in caplog.records]) == (3, ["INFO"] * 3)
            other.delay()
            assert caplog.records[-1].levelname == "ERROR"
    finally:
        stop()


def test_a_task_may_expire_by_its_declaration(app: TaskFlow) -> None:
    ran: list[int] = []

    @app.task(expires=0)
    def late() -> None:
        ran.append(1)

    with pytest.raises(TaskFailed, match="expired"):
        late.delay().get()
    assert not ran


def test_apply_runs_a_task_here_and_keeps_its_result() -> None:
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")

    @app.task(bind=True)
    def add(self: CurrentTask, first: int, second: int) -> int:
        return first + second

    assert add.apply((1,), {"second": 2}).get() == 3
    assert add.run(1, 2) == 3

    @app.task(max_retries=0)
    def fails() -> None:
        raise OSError("no route")

    with pytest.raises(OSError, match="no route"):
        fails.apply(throw=True)
