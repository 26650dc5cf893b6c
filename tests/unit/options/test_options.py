"""Options: checked one by one, merged, and written into the message by Asynq's rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.errors import InvalidOption, InvalidQueueName, InvalidTaskId, TaskFlowError, UnknownOption
from taskflow.message.kept import FAILURE_RETENTION_HEADER
from taskflow.message.task_message import TaskMessage
from taskflow.options import HARD_TIMEOUT_HEADER, Schedule, Scope, TaskOptions, build_message, merge
from taskflow.options.table import BY_SPELLING

OF_A_CALL = sorted(name for name, option in BY_SPELLING.items() if option.is_for(name, Scope.CALL))


def build(payload: bytes | None = b"{}", **options: Any) -> tuple[TaskMessage, Schedule]:
    return build_message("t", payload, TaskOptions.of(options), new_id=lambda: "new")


def message(**options: Any) -> TaskMessage:
    return build(**options)[0]


# --- one layer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"queue": "slow"}, "queue", "slow"),
        ({"delay": 60}, "delay", 60.0),
        ({"delay": 0}, "delay", 0.0),
        ({"delay": timedelta(minutes=1)}, "delay", 60.0),
        ({"countdown": 60}, "delay", 60.0),
        ({"eta": datetime(2024, 1, 1, tzinfo=UTC)}, "eta", 1704067200.0),
        ({"eta": datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))}, "eta", 1704067200.0),
        ({"timeout": 0.5}, "timeout", 1),
        ({"timeout": 30}, "timeout", 30),
        ({"soft_time_limit": 30.1}, "timeout", 31),
        ({"hard_timeout": 0.5}, "hard_timeout", 0.5),
        ({"time_limit": timedelta(seconds=9)}, "hard_timeout", 9.0),
        ({"deadline": datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)}, "deadline", 1704067201),
        ({"expires": datetime(2024, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)}, "expires_at", 1704067200.5),
        ({"expires": 5}, "expires", 5.0),
        ({"max_retries": 0}, "max_retries", 0),
        ({"retention": 0.1}, "retention", 1),
        ({"unique": 1.9}, "unique", 2),
        ({"id": "order 7"}, "id", "order 7"),
        ({"task_id": "x"}, "id", "x"),
        ({"headers": {"a": "b"}}, "headers", {"a": "b"}),
        ({"group": "g"}, "group", "g"),
        ({"enqueue_timeout": 2}, "enqueue_timeout", 2.0),
    ],
)
def test_an_option_is_kept_in_seconds_rounded_up(options: dict[str, Any], field: str, value: Any) -> None:
    kept = TaskOptions.of(options)
    assert getattr(kept, field) == value
    assert kept == TaskOptions(**{field: value})


@pytest.mark.parametrize("name", OF_A_CALL)
def test_none_is_as_if_the_option_was_not_given(name: str) -> None:
    assert TaskOptions.of({name: None}) == TaskOptions()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"delay": -1}, "`delay` must be 0 seconds or more"),
        ({"delay": float("nan")}, "`delay`"),
        ({"delay": float("inf")}, "`delay` is over the limit"),
        ({"countdown": 10**400}, "`countdown` is over the limit of 100 years"),
        ({"delay": True}, "`delay` takes seconds or a timedelta, not bool"),
        ({"delay": "60"}, "`delay` takes seconds or a timedelta, not str"),
        ({"timeout": 0}, "`timeout` must be more than 0"),
        ({"time_limit": 0}, "`time_limit` must be more than 0"),
        ({"eta": 60}, "`eta` takes a datetime, not int; for seconds from now use `delay`"),
        ({"eta": datetime(2024, 1, 1)}, "`eta` has no time zone"),
        ({"deadline": datetime(2024, 1, 1)}, "`deadline` has no time zone"),
        ({"expires": datetime(2024, 1, 1)}, "`expires` has no time zone"),
        ({"deadline": datetime(1969, 1, 1, tzinfo=UTC)}, "`deadline` lies before 1970"),
        ({"max_retries": -1}, "`max_retries` must be between 0"),
        ({"max_retries": 2**31}, "`max_retries` must be between 0"),
        ({"max_retries": 2.0}, "`max_retries` takes a whole number, not float"),
        ({"unique": 0.5}, "`unique` is how long its lock holds: 1 second or more"),
        ({"unique": True}, "`unique` takes seconds"),
        ({"headers": {"a": 1}}, "header 'a' must be a str"),
        ({"headers": {"Taskflow-Hard-Timeout": "1"}}, "reserved"),
        ({"group": " "}, "group name ' ' is blank"),
        ({"delay": 1, "eta": datetime(2024, 1, 1, tzinfo=UTC)}, "`delay` and `eta` contradict"),
        ({"countdown": 1, "delay": 1}, "`countdown` and `delay` contradict"),
        ({"id": "a", "task_id": "a"}, "`id` and `task_id` contradict"),
    ],
)
def test_a_bad_value_is_refused_with_the_options_name(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidOption, match=problem):
        TaskOptions.of(options)


def test_bad_queues_and_ids_have_their_own_errors() -> None:
    with pytest.raises(InvalidQueueName):
        TaskOptions.of({"queue": "a{b}"})
    with pytest.raises(InvalidTaskId):
        TaskOptions.of({"task_id": ""})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("que", "did you mean `queue`"),
        ("max_retry", "did you mean `max_retries`"),
        ("etaa", "did you mean `eta`"),
        ("xyzzy", "there are queue, delay,"),
        ("priority", "-Q high=6,low=1"),
        ("routing_key", "use `queue`"),
        ("bindd", "did you mean `bind`"),
    ],
)
def test_an_unknown_option_is_a_type_error_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownOption, match=hint) as caught:
        TaskOptions.of({name: 1}, Scope.TASK)
    assert isinstance(caught.value, TypeError)
    assert name in str(caught.value)


anything = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.timedeltas()
)


@given(st.dictionaries(st.sampled_from(OF_A_CALL), anything, max_size=4))
def test_any_value_is_kept_or_refused_with_an_error_of_ours(options: dict[str, Any]) -> None:
    try:
        written = message(**options).encode()
    except TaskFlowError:
        return
    assert TaskMessage.decode(written).type == "t"


# --- several layers --------------------------------------------------------------------------------------


def test_later_layers_win_and_leave_the_rest() -> None:
    app = TaskOptions(queue="a", timeout=5, retention=60)
    task = TaskOptions(queue="b", max_retries=3)
    call = TaskOptions(max_retries=0)
    assert merge(app, task, call) == TaskOptions(queue="b", timeout=5, retention=60, max_retries=0)
    assert merge() == TaskOptions()


def test_delay_and_eta_share_a_slot_and_so_do_both_forms_of_expires() -> None:
    assert merge(TaskOptions(delay=1.0), TaskOptions(eta=2.0)) == TaskOptions(eta=2.0)
    assert merge(TaskOptions(eta=2.0), TaskOptions(delay=0.0)) == TaskOptions(delay=0.0)
    assert merge(TaskOptions(expires_at=1.0), TaskOptions(expires=2.0)) == TaskOptions(expires=2.0)
    assert merge(TaskOptions(expires=2.0), TaskOptions(expires_at=1.0)) == TaskOptions(expires_at=1.0)
    both = merge(TaskOptions(expires=2.0), TaskOptions(deadline=1))
    assert both == TaskOptions(expires=2.0, deadline=1), "until when it may start, and until when it may run"


def test_a_task_of_a_group_has_no_time_to_start_by() -> None:
    """It is never started: what starts is the task that the group is joined into."""
    with pytest.raises(InvalidOption, match="`group` and `expires` contradict"):
        merge(TaskOptions(group="g"), TaskOptions(expires=2.0))


def test_headers_add_up() -> None:
    merged = merge(TaskOptions(headers={"a": "1", "b": "1"}), TaskOptions(headers={"b": "2", "c": "2"}))
    assert merged.headers == {"a": "1", "b": "2", "c": "2"}


def test_headers_that_are_too_many_together_are_refused() -> None:
    layers = [TaskOptions.of({"headers": {f"{layer}-{n}": "" for n in range(40)}}) for layer in range(2)]
    with pytest.raises(InvalidOption, match="80 headers"):
        merge(*layers)


def test_a_hard_limit_below_the_soft_one_is_refused() -> None:
    with pytest.raises(InvalidOption, match=r"hard_timeout \(10.0 s\) is below timeout \(30 s\)"):
        merge(TaskOptions(timeout=30), TaskOptions(hard_timeout=10.0))


# --- the message -----------------------------------------------------------------------------------------


def test_without_options_asynqs_defaults_hold() -> None:
    expected = TaskMessage(type="t", payload=b"{}", id="new", queue="default", max_retries=25, timeout=1800)
    assert build() == (expected, Schedule(None, None))


@pytest.mark.parametrize(
    ("options", "timeout", "deadline"),
    [
        ({}, 1800, 0),
        ({"timeout": 30}, 30, 0),
        ({"deadline": datetime(2024, 1, 1, tzinfo=UTC)}, 0, 1704067200),
        ({"deadline": datetime(2024, 1, 1, tzinfo=UTC), "timeout": 30}, 30, 1704067200),
        ({"expires": 10}, 1800, 0),
        ({"hard_timeout": 7200}, 7200, 0),
        ({"hard_timeout": 0.5}, 1, 0),
        ({"hard_timeout": 60, "timeout": 30}, 30, 0),
        ({"hard_timeout": 60, "expires": 10}, 60, 0),
    ],
)
def test_a_message_always_has_a_timeout_or_a_deadline(
    options: dict[str, Any], timeout: int, deadline: int
) -> None:
    built = message(**options)
    assert (built.timeout, built.deadline) == (timeout, deadline)


def test_options_reach_their_fields() -> None:
    built = message(queue="q", id="i", max_retries=0, retention=60.5, group="g", headers={"a": "b"})
    assert (built.queue, built.id, built.max_retries, built.retention) == ("q", "i", 0, 61)
    assert (built.group_key, built.headers) == ("g", {"a": "b"})


def test_the_lock_is_in_the_message_only_with_unique() -> None:
    assert message().unique_key == ""
    assert message(unique=5, queue="q").unique_key == "asynq:{q}:unique:t:99914b932bd37a50b983c5e7c90ae93b"
    assert build(None, unique=5)[0].unique_key == "asynq:{default}:unique:t:"


def test_a_hard_limit_travels_in_a_header() -> None:
    assert message(hard_timeout=60, headers={"a": "b"}).headers == {"a": "b", HARD_TIMEOUT_HEADER: "60"}
    assert message(failure_retention=0).headers == {FAILURE_RETENTION_HEADER: "0"}, (
        "0 is said: it is not the default"
    )
    assert message(failure_retention=1.5).headers == {FAILURE_RETENTION_HEADER: "2"}
    assert message().headers == {}
    assert float(message(hard_timeout=1234567.25).headers[HARD_TIMEOUT_HEADER]) == 1234567.25


def test_when_it_may_run_is_told_apart_from_the_message() -> None:
    assert build(delay=5)[1] == Schedule(5.0, None)
    assert build(eta=datetime(2024, 1, 1, tzinfo=UTC))[1] == Schedule(None, 1704067200.0)
    assert build(expires=0)[1] == Schedule(expires=0.0)
    assert build(expires=datetime(2024, 1, 1, tzinfo=UTC), delay=5)[1] == Schedule(
        5.0, None, None, 1704067200.0
    )


def test_headers_of_a_message_are_its_own() -> None:
    options = TaskOptions(headers={"a": "b"})
    built, _ = build_message("t", None, options, new_id=lambda: "x")
    assert built.headers is not options.headers
