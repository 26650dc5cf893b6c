"""What the child remembers of a kind of message changes nothing but the pace."""

from __future__ import annotations

import time
from contextvars import Context
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow import TaskFlow
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.options import HARD_TIMEOUT_HEADER
from taskflow.pipe import frames
from taskflow.tasks import run as run_module
from taskflow.tasks.attempt import Attempt
from taskflow.tasks.run import Pipeline

app = TaskFlow("plans", broker="redis://127.0.0.1:1")


@app.task(name="add")
def add(first: int, second: int = 2) -> int:
    return first + second


@app.task(name="strict", hard_timeout=90)
def strict() -> None: ...


PLAIN = TaskMessage(type="add", payload=b'{"first":1}', id="a", queue="q", timeout=60)


def called(subject: Pipeline, attempt: Attempt, value: object) -> Outcome:
    """The outcome of an attempt whose function returns this."""
    return Context().run(subject.run, attempt, lambda attempt: value)


def run(subject: Pipeline, message: TaskMessage, number: int = 1, failure: str = "") -> object:
    """Everything that can be seen of a job from its bytes to its outcome."""
    job = frames.Job(number, "q", message.id.encode(), message.encode(), failure)
    attempt = subject.receive(job)
    if not isinstance(attempt, Attempt):
        return (attempt.number, attempt.verb, attempt.error)
    outcome = called(subject, attempt, 3)
    current = attempt.current()
    return (
        attempt.plan.task.name,
        attempt.plan.soft_seconds,
        attempt.plan.hard_seconds,
        attempt.kwargs,
        attempt.message,
        replace(current, deadline=current.deadline.replace(microsecond=0, second=0)),
        (outcome.number, outcome.verb, outcome.delay, outcome.result, outcome.error, outcome.lock),
    )


variants = st.builds(
    TaskMessage,
    type=st.sampled_from(["add", "strict", "unknown"]),
    payload=st.sampled_from([None, b"{}", b'{"first":1}', b'{"first":2,"second":3}', b'{"first":"x"}', b"["]),
    id=st.sampled_from(["a", "b", "é", "x" * 200]),
    queue=st.sampled_from(["q", "other"]),
    max_retries=st.sampled_from([0, 25]),
    retried=st.sampled_from([0, 0, 3]),
    timeout=st.sampled_from([0, 60]),
    deadline=st.sampled_from([0, 0, 1, 4_000_000_000]),
    unique_key=st.sampled_from(["", "", "asynq:{q}:unique:add:1"]),
    retention=st.sampled_from([0, 60]),
    group_key=st.sampled_from(["", "g"]),
    headers=st.sampled_from([{}, {}, {HARD_TIMEOUT_HEADER: "70"}, {"trace": "1"}]),
)


@given(st.lists(variants, min_size=2, max_size=12))
def test_a_pipeline_that_has_seen_others_does_as_one_that_has_not(messages: list[TaskMessage]) -> None:
    experienced = Pipeline(app.tasks)
    for number, message in enumerate(messages, 1):
        found, expected = run(experienced, message, number), run(Pipeline(app.tasks), message, number)
        if message.deadline or (isinstance(found, tuple) and found[1] == "u"):
            # The limits count from now, and an unknown name waits for a random while.
            assert type(found) is type(expected)
            continue
        assert found == expected


def test_a_second_message_of_a_kind_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Pipeline(app.tasks)
    run(subject, PLAIN)
    monkeypatch.setattr(TaskMessage, "decode", None)
    job = frames.Job(2, "q", b"b", replace(PLAIN, id="b", payload=b'{"first":5}').encode())
    attempt = subject.receive(job)
    assert isinstance(attempt, Attempt)
    assert called(subject, attempt, None).verb == "d"
    assert attempt.kwargs == {"first": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"headers": {HARD_TIMEOUT_HEADER: "1"}},
        {"deadline": 4_000_000_000},
        {"unique_key": "asynq:{q}:unique:add:1"},
        {"retried": 1, "error_msg": "boom", "last_failed_at": 1_700_000_000},
    ],
    ids=["headers", "deadline", "lock", "retried"],
)
def test_kinds_that_hardly_ever_come_twice_are_not_remembered(change: dict[str, object]) -> None:
    subject = Pipeline(app.tasks)
    run(subject, replace(PLAIN, **change))  # type: ignore[arg-type]
    assert subject._plans == {}


def test_a_message_that_is_written_in_another_way_is_not_remembered() -> None:
    """Its rest may hold a second payload, which for protobuf is the one that counts."""
    subject = Pipeline(app.tasks)
    twice = PLAIN.encode() + b'\x12\x0b{"first":7}'
    attempt = subject.receive(frames.Job(1, "q", b"a", twice))
    assert isinstance(attempt, Attempt)
    called(subject, attempt, None)
    assert attempt.kwargs == {"first": 7}
    assert subject._plans == {}


def test_a_message_with_another_id_than_it_is_stored_under_runs_under_that() -> None:
    subject = Pipeline(app.tasks)
    run(subject, PLAIN)
    attempt = subject.receive(frames.Job(2, "q", b"elsewhere", PLAIN.encode()))
    assert isinstance(attempt, Attempt)
    assert attempt.id == attempt.current().id == "elsewhere"


def test_plans_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "MOST_PLANS", 10)
    subject = Pipeline(app.tasks)
    for timeout in range(1, 60):
        run(subject, replace(PLAIN, timeout=timeout))
        assert len(subject._plans) <= 10


def test_a_job_that_is_to_be_judged_is_not_run() -> None:
    subject = Pipeline(app.tasks)
    run(subject, PLAIN)
    outcome = subject.receive(frames.Job(2, "q", b"a", PLAIN.encode(), failure="killed"))
    assert isinstance(outcome, Outcome)
    assert outcome.verb == "r"


def test_a_job_whose_time_to_start_has_ended_on_its_way_is_archived_and_one_with_time_left_is_run() -> None:
    """It was in time when the worker took it, and then waited in the child behind another."""
    subject = Pipeline(app.tasks)
    now = int(time.monotonic() * 1000)
    late = subject.receive(frames.Job(1, "q", b"a", PLAIN.encode(), "", 0, now - 1))
    assert isinstance(late, Attempt)
    verdict = called(subject, late, None)
    assert (verdict.verb, TaskMessage.decode(verdict.message).error_msg) == ("a", "expired")
    early = subject.receive(frames.Job(2, "q", b"a", PLAIN.encode(), "", 0, now + 60_000))
    assert isinstance(early, Attempt)
    assert called(subject, early, None).verb == "d"
