"""What a child tells of the attempts that it runs: which events, when, in which context, and with which exceptions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest

from taskflow import Reject, TaskFlow, current_task
from taskflow.errors import TaskTimeout
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.pipe import frames
from taskflow.states import Verb
from taskflow.tasks.run import Pipeline
from taskflow.telemetry import events
from taskflow.telemetry.counts import Tallies
from taskflow.telemetry.events import Event, TaskEvent, attach
from tests.listening import kinds, listening
from tests.servers import wait_until
from tests.worker.attempts import Attempts, attempts, error_of

pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*SystemExit:pytest.PytestUnhandledThreadExceptionWarning"  # how the pools' threads are ended
)

SECRET = "the-secret"

app = TaskFlow("events", broker="redis://127.0.0.1:1")
span: ContextVar[str] = ContextVar("span", default="none")


@app.task(name="works")
def works() -> None:
    _note()


@app.task(name="aworks")
async def aworks() -> None:
    _note()


def _note() -> None:
    spans.append(span.get())
    span.set("of the task")


spans: list[str] = []


@app.task(name="retries", max_retries=5)
def retries() -> None:
    _hurt()


@app.task(name="fails", max_retries=0)
def fails() -> None:
    _hurt()


@app.task(name="afails", max_retries=0)
async def afails() -> None:
    _hurt()


def _hurt() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        error.add_note(SECRET)
        raise ValueError(f"cannot use {SECRET}") from error


@app.task(name="rejects")
def rejects() -> None:
    raise Reject("no such order")


@app.task(name="returns-an-object")
def returns_an_object() -> Any:
    return object()


@app.task(name="sleeps", max_retries=0)
def sleeps() -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        time.sleep(0.001)


@app.task(name="asleeps", max_retries=0)
async def asleeps() -> None:
    await asyncio.sleep(10)


@app.task(name="shrugs")
def shrugs() -> None:
    """Goes on when its time is up, and returns."""
    with suppress(TaskTimeout):
        sleeps.function()


def policy_raises(error: BaseException) -> bool:
    raise RuntimeError(SECRET)


@app.task(name="policy-raises", max_retries=5, retry=policy_raises)
def with_a_policy_that_raises() -> None:
    raise ValueError(SECRET)


@pytest.fixture
def pools() -> Iterator[Attempts]:
    spans.clear()
    with attempts(app) as pools:
        yield pools


def told_of(pools: Attempts, name: str, **fields: Any) -> list[Event]:
    """The events of one attempt, from its receipt to its end."""
    with listening() as told:
        number = pools.start(name, b"{}", **fields)
        if name.endswith("sleeps") and "timeout" not in fields:
            wait_until(
                lambda: any(isinstance(event, events.Started) for event in told), description="it runs"
            )
            time.sleep(0.01)
            pools.cancel(number)
        pools.outcome(number)
        ends = (events.Succeeded, events.Retried, events.Archived)
        wait_until(lambda: any(isinstance(event, ends) for event in told), description="its end")
    return told


@pytest.mark.parametrize(
    ("name", "fields", "wanted"),
    [
        ("works", {}, [events.Succeeded]),
        ("aworks", {}, [events.Succeeded]),
        ("retries", {}, [events.Retried]),
        ("fails", {}, [events.Archived]),
        ("afails", {}, [events.Archived]),
        ("returns-an-object", {"retention": 60}, [events.ResultLost]),
        ("sleeps", {"timeout": 1}, [events.TimedOut, events.Archived]),
        ("asleeps", {"timeout": 1}, [events.TimedOut, events.Archived]),
        ("shrugs", {"timeout": 1}, [events.TimedOut, events.Succeeded]),
        ("sleeps", {}, [events.Cancelled, events.Archived]),
        ("asleeps", {}, [events.Cancelled, events.Archived]),
        ("policy-raises", {}, [events.PolicyRaised, events.Archived]),
    ],
)
def test_an_attempt_is_told_from_its_receipt_to_its_end(
    pools: Attempts, name: str, fields: dict[str, Any], wanted: list[type[Event]]
) -> None:
    told = told_of(pools, name, max_retries={"retries": 5, "policy-raises": 5}.get(name, 0), **fields)
    assert [type(event) for event in told] == [events.Received, events.Started, *wanted]
    for event in told:
        if isinstance(event, TaskEvent):
            assert (event.task, event.id, event.queue, event.retried) == (name, "t1", "q", 0)


@pytest.mark.parametrize("name", ["works", "aworks", "fails", "afails", "policy-raises"])
def test_a_verdict_is_sent_before_anybody_hears_of_it(pools: Attempts, name: str) -> None:
    """A listener that waits for something, a log handler whose disk is full: the task is done, and the worker has to know."""
    before: list[bool] = []

    def hear(event: Event) -> None:
        before.append(1 in pools.outcomes)

    ends = (events.Succeeded, events.Retried, events.Archived, events.PolicyRaised)
    detach = attach(hear, ends)
    try:
        pools.run(name, b"{}")
        wait_until(lambda: before, description="it is told")
        pools.run("works", b"{}")
    finally:
        detach()
    assert before[0]


@pytest.mark.parametrize(
    ("message", "failure", "wanted"),
    [
        (b"\xff", "", [events.Unread]),
        (TaskMessage(type="unknown", payload=b"{}", id="a", queue="q").encode(), "", [events.PutBack]),
        (
            TaskMessage(type="works", payload=b"{}", id="a", queue="q", deadline=1, max_retries=0).encode(),
            "",
            [events.TimedOut, events.Archived],
        ),
        (
            TaskMessage(type="works", payload=b"{}", id="a", queue="q", timeout=60, max_retries=0).encode(),
            "its process was killed",
            [events.Archived],
        ),
    ],
    ids=["no message", "unknown", "too late", "killed"],
)
def test_so_is_that_on_what_is_never_called(message: bytes, failure: str, wanted: list[type[Event]]) -> None:
    pipeline = Pipeline(app.tasks)
    with listening() as told:
        outcome = pipeline.receive(frames.Job(1, "q", b"a", message, failure))
        assert isinstance(outcome, Outcome)
        assert told == []
        pipeline.reporter.tell()
    assert [type(event) for event in told] == wanted


@pytest.mark.parametrize("name", ["works", "aworks"])
def test_listeners_are_in_the_context_of_the_attempt(pools: Attempts, name: str) -> None:
    """A tracer begins a span when a task starts, in which its calls are, and ends it with what the task has put there; and the
    next task knows nothing of it.
    """
    heard: list[tuple[str, str, str]] = []

    def hear(event: TaskEvent) -> None:
        heard.append((type(event).__name__, current_task().id, span.get()))
        if isinstance(event, events.Started):
            span.set(f"of the listener for {event.id}")

    detach = attach(hear, [events.Started, events.Succeeded])
    try:
        for count in (2, 4):
            pools.run(name, b"{}")
            wait_until(lambda count=count: len(heard) == count, description="its end")  # type: ignore[misc]
    finally:
        detach()
    assert spans == ["of the listener for t1", "of the listener for t2"]
    assert heard == [
        ("Started", "t1", "none"),
        ("Succeeded", "t1", "of the task"),
        ("Started", "t2", "none"),
        ("Succeeded", "t2", "of the task"),
    ]


@pytest.mark.parametrize("name", ["works", "aworks", "fails", "afails"])
def test_a_listener_that_raises_costs_no_verdict_and_no_slot(pools: Attempts, name: str) -> None:
    def broken(event: Event) -> None:
        raise SystemExit(SECRET)

    detach = attach(broken)
    try:
        for _ in range(3):
            assert pools.run(name, b"{}", max_retries=0).verb in (Verb.DONE, Verb.ARCHIVE)
        wait_until(lambda: pools.slots._free.qsize() == 1, description="the slot is free")
    finally:
        detach()


def test_where_nobody_listens_no_event_is_made(pools: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two a task, thousands of times a second: each costs a name and an id that have to be read out of the message."""
    for kind in kinds():
        monkeypatch.setattr(kind, "heard", ())
    monkeypatch.setattr("taskflow.tasks.reporter._who", None)
    monkeypatch.setattr("taskflow.tasks.reporter._who_of", None)
    for name in ("works", "aworks"):
        assert pools.run(name, b"{}").verb == Verb.DONE
    pools.run("works", b"{}", deadline=int(time.time()) + 60)
    assert pools.run("fails", b"{}").verb in (Verb.ARCHIVE, Verb.RETRY)


# --- exceptions -------------------------------------------------------------------------------------------------------


class Tracker(logging.Handler):
    """An error tracker: keeps whatever it can print of a record."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[logging.LogRecord, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        printed = [record.getMessage(), repr(vars(record))]
        if record.exc_info:
            printed.append(logging.Formatter().formatException(record.exc_info))
            printed.append(repr(record.exc_info[1]))
        self.seen.append((record, "\n".join(printed)))


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    handler, logger = Tracker(), logging.getLogger("taskflow")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize("name", ["fails", "afails", "policy-raises"])
@pytest.mark.parametrize("error_text", [True, False])
def test_a_handler_gets_the_exception_and_with_error_text_false_one_without_its_text(
    tracker: Tracker, name: str, error_text: bool
) -> None:
    """`TaskFlow(error_text=False)` says that the texts of exceptions go nowhere. A record's `exc_info` is printed whole by every
    handler but our own, and sent to others by error trackers: then it has the type, the places and the causes, and no text.
    """
    with attempts(app, error_text=error_text) as pools:
        outcome = pools.run(name, b"{}", max_retries=0)
        wait_until(lambda: any("archived" in text for _, text in tracker.seen), description="the line")
    printed = "\n".join(text for _, text in tracker.seen)
    assert (SECRET in printed) == error_text
    assert (SECRET in error_of(outcome)) == error_text
    record = next(record for record, text in tracker.seen if "archived" in text)
    assert record.exc_info is not None
    kind, error, trace = record.exc_info
    assert kind is not None
    assert (kind.__name__, trace is not None) == ("ValueError", True)
    assert isinstance(error, ValueError) == error_text
    assert "tests/worker/test_events.py" in printed
    if name != "policy-raises":
        assert "KeyError" in printed, "what led to it"


def test_what_a_task_gives_as_its_reason_is_kept(tracker: Tracker) -> None:
    """It is written to be, and so it is in the task."""
    with attempts(app, error_text=False) as pools:
        pools.run("rejects", b"{}")
        wait_until(lambda: tracker.seen, description="the line")
    [(_, printed)] = [one for one in tracker.seen if "archived" in one[1]]
    assert "Reject: no such order" in printed


def test_listeners_get_the_same_exception_as_handlers() -> None:
    with attempts(app, error_text=False) as pools, listening(events.Archived) as told:
        pools.run("fails", b"{}", max_retries=0)
        wait_until(lambda: told, description="its end")
    [event] = told
    assert isinstance(event, events.Archived)
    assert SECRET not in repr(event)
    assert type(event.error).__name__ == "ValueError"


# --- counts -----------------------------------------------------------------------------------------------------------


def test_each_attempt_is_counted_once_by_the_name_of_its_task() -> None:
    tallies = Tallies()
    with attempts(app, tallies=tallies) as pools:
        for name in ("works", "aworks", "works", "fails", "retries", "returns-an-object"):
            pools.run(name, b"{}", retention=60)
        late = TaskMessage(type="works", payload=b"{}", id="a", queue="q", deadline=1, max_retries=0).encode()
        pools.pipeline.receive(frames.Job(100, "q", b"a", late))
        unknown = TaskMessage(type="unknown", payload=b"{}", id="a", queue="q").encode()
        pools.pipeline.receive(frames.Job(101, "q", b"a", unknown))
    counts = {count.name: (count.count, count.failures) for count in tallies.take()}
    assert counts == {
        "works": (3, 1),
        "aworks": (1, 0),
        "fails": (1, 1),
        "retries": (1, 1),
        "returns-an-object": (1, 1),
    }
