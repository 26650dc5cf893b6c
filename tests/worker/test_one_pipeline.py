"""What becomes of a task does not depend on where it runs: in a thread, in the main thread, on the event loop, in
`-P solo` or in eager mode."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.broker.commands.enqueue import NewTask
from taskflow.message.message_crypto import CLOUDPICKLE, CONTENT_TYPE_HEADER
from taskflow.message.outcome import done
from taskflow.message.task_message import TaskMessage
from taskflow.pipe import frames, shared_marks
from taskflow.states import State, Verb
from taskflow.tasks.attempt import Attempt
from taskflow.tasks.by_value import CALL, CALL_ASYNC
from taskflow.tasks.run import Pipeline
from taskflow.telemetry import events
from tests.worker import pipeline_app
from tests.worker.pipeline_app import KEY, Order, app, declare, variable
from tests.workers import ROOT

SLOTS = 4


@dataclass(frozen=True)
class Verdict:
    """What a queue, and whoever asks for the result, knows at the end."""

    state: State | None
    retried: int = 0
    error: str = ""
    value: Any = None


@dataclass(frozen=True)
class Case:
    """A call, and what is to become of it.

    `stored` is what its message holds instead of what we would write.
    """

    task: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    then: Verdict = Verdict(None)

    def new(self, app: TaskFlow, style: str) -> NewTask:
        """The call, for the function or for the coroutine function."""
        if self.task == CALL:
            name, args = (CALL_ASYNC, (pipeline_app.aadd,)) if style == "a" else (CALL, (pipeline_app.add,))
        else:
            name, args = style + self.task, ()
        new = app.tasks[name].options(id="the-task", **self.options)._prepare(args, self.kwargs)
        return NewTask(replace(new.message, **self.stored), *new.terms.rest) if self.stored else new


def completed(value: Any, retried: int = 0, error: str = "") -> Verdict:
    return Verdict(State.COMPLETED, retried, error, value)


def archived(error: str, retried: int = 0) -> Verdict:
    return Verdict(State.ARCHIVED, retried, error)


PAST = datetime(2020, 1, 1, tzinfo=UTC)

CASES = {
    "a value": Case("add", {"first": 1}, then=completed(3)),
    "a value that nobody keeps": Case("add", {"first": 1}, {"retention": 0}),
    "a value of the annotated type": Case("order", {"number": 3}, then=completed(Order(3, Decimal("1.50")))),
    "a tuple": Case("tuples", then=completed((1, 2))),
    "a value that cannot be kept": Case("unfit", then=archived("*cannot be kept as a result*")),
    "a generator": Case("lazy", then=archived("*has not run*")),
    "failures until no retry is left": Case("fails", then=archived("no such luck", 3)),
    "failures without any retry": Case("fails", options={"max_retries": 0}, then=archived("no such luck")),
    "failures, then a value": Case("third_time", {"kind": "error"}, then=completed(2, 2, "not yet")),
    "raise Retry, then a value": Case("third_time", {"kind": "retry"}, then=completed(2, 2, "later")),
    "retry() until no retry is left": Case("asks_for_a_retry", then=archived("again", 3)),
    "retry(exc=) until no retry is left": Case(
        "celerys_retry", options={"max_retries": 2}, then=archived("no route", 2)
    ),
    "retry(max_retries=) of a task with more": Case(
        "celerys_retry", {"most": 1}, then=archived("no route", 1)
    ),
    "retry(throw=False), then a value": Case("retry_unthrown", then=completed(2, 2, "not yet")),
    "a class with hooks that raise": Case("doubles", {"first": 1, "second": 2}, then=completed(6)),
    "a class, and a failure": Case("doubles_verdict", {"kind": "o"}, then=archived("'oo'", 1)),
    "a policy that stops after attempts": Case("stops", then=archived("no such luck", 1)),
    "a policy that stops after seconds": Case("gives_up", then=archived("no such luck", 6)),
    "a failure that the policy does not retry": Case(
        "choosy", {"kind": "os"}, then=archived("of the system")
    ),
    "a policy that raises": Case("broken", then=archived("the policy itself")),
    "raise Reject": Case("verdict", {"kind": "reject"}, then=archived("not wanted")),
    "raise Cancel": Case("verdict", {"kind": "cancel"}, then=archived("the order was withdrawn")),
    "Cancel in a group": Case("verdict", {"kind": "cancel in a group"}, then=archived("withdrawn")),
    "Snooze beside a failure": Case(
        "verdict", {"kind": "snooze and failure"}, then=archived("several (2 sub-exceptions)", 2)
    ),
    "raise TaskCancelled": Case("verdict", {"kind": "cancelled"}, then=archived("enough")),
    "raise TaskTimeout": Case("verdict", {"kind": "timeout"}, then=archived("too slow", 2)),
    "SystemExit": Case("verdict", {"kind": "exit"}, then=archived("3", 2)),
    "a cancellation from inside": Case("verdict", {"kind": "inside"}, then=archived("CancelledError", 2)),
    "a verdict in a group": Case("verdict", {"kind": "group"}, then=archived("in a group")),
    "an error without a text": Case("verdict", {"kind": "textless"}, then=archived("ValueError", 2)),
    "an argument of another type": Case(
        "add", {"first": 1}, stored={"payload": b'{"first":"x"}'}, then=archived("*`first`*")
    ),
    "an argument too few": Case("add", {"first": 1}, stored={"payload": b"{}"}, then=archived("*`first`*")),
    "what is no JSON": Case("add", {"first": 1}, stored={"payload": b"{"}, then=archived("*")),
    "a name that nobody knows": Case(
        "add", {"first": 1}, stored={"type": "nobody"}, then=Verdict(State.SCHEDULED)
    ),
    "another kind of payload": Case(
        "add",
        {"first": 1},
        stored={"headers": {CONTENT_TYPE_HEADER: CLOUDPICKLE}},
        then=archived("*its payload is no application/json*"),
    ),
    "a deadline that has passed": Case(
        "add",
        {"first": 1},
        stored={"deadline": 1},
        then=archived("the deadline had passed before the task started", 2),
    ),
    "a time to start that has passed": Case("add", {"first": 1}, {"expires": PAST}, then=archived("expired")),
    "a function by value": Case(CALL, {"first": 1}, {"retention": 60}, then=completed(3)),
    "a function by value that fails": Case(
        CALL, {"first": "x"}, {"max_retries": 1}, then=archived("*concatenate*", 1)
    ),
    "a function of another Python": Case(
        CALL,
        {"first": 1},
        stored={"payload": b"cpython-399\nnothing"},
        then=Verdict(State.SCHEDULED),
    ),
    "context variables of others": Case("leaks", then=completed("fresh")),
    "current_task()": Case("who", then=completed(["the-task", "default", 0, 2])),
    "a soft limit": Case("overruns", then=archived("time limit of 1 s exceeded")),
}


# --- the ways -----------------------------------------------------------------------------------------------


class Child:
    """A child process without a worker: what it decides is carried out here as `finish.lua` would, but for the waiting."""

    def __init__(self, way: str) -> None:
        mine, its = socket.socketpair()
        memory = shared_marks.create()
        slots = 1 if way == "in the main thread" else SLOTS
        self._marks = shared_marks.SharedMarks(memory, slots)
        descriptors = (its.fileno(), memory)
        code = "import sys; from taskflow.runner.__main__ import run; sys.exit(run())"
        if way == "solo":
            code = (
                "import socket; from taskflow.pipe.shared_marks import SharedMarks; from taskflow.runner.child import main; "
                f"main('tests.worker.pipeline_app:app', socket.socket(fileno={descriptors[0]}), "
                f"SharedMarks({descriptors[1]}, {SLOTS}), {SLOTS}, place='debugged')"
            )
        numbers = ["--socket", str(descriptors[0]), "--marks", str(descriptors[1]), "--slots", str(slots)]
        if way == "in the main thread":
            numbers.append("--main-thread")
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, "--app", "tests.worker.pipeline_app:app", *numbers],
            pass_fds=descriptors,
            cwd=ROOT,
            stderr=subprocess.DEVNULL,  # failures are logged, and most cases are failures
        )
        os.close(memory)
        its.close()
        self._socket = mine
        self._stream = mine.makefile("rb")
        self._number = 0
        assert isinstance(self._read(), frames.Hello)

    def run(self, new: NewTask) -> Verdict:
        """Attempt a task until there is a verdict."""
        assert app._crypto is not None
        message = app._crypto.close(new.message)
        first_failed_at, expires = 0.0, 1 if new.terms.expires_at else 0
        while True:
            self._number += 1
            self._marks.expect(self._number)
            job = frames.Job(
                self._number,
                message.queue,
                new.id.encode(),
                message.encode(),
                "",
                int(first_failed_at),
                expires,
            )
            self._socket.sendall(frames.frame(frames.Jobs([job])))
            outcomes = self._read()
            while isinstance(outcomes, frames.Events):
                outcomes = self._read()
            assert isinstance(outcomes, frames.Outcomes)
            (outcome,) = outcomes.items or [done(number, "", 0.0) for number in outcomes.done]
            assert outcome.number == self._number
            if outcome.message:
                message = TaskMessage.decode(outcome.message)
            if outcome.verb != Verb.RETRY:
                break
            first_failed_at, expires = (first_failed_at or time.time()) - outcome.delay, 0
        state = {Verb.COMPLETE: State.COMPLETED, Verb.ARCHIVE: State.ARCHIVED, Verb.PUT_BACK: State.SCHEDULED}
        found = state.get(Verb(outcome.verb))
        value = None
        if found is State.COMPLETED:
            result = app._crypto.open_result(message, message.queue, new.id.encode(), outcome.result)
            value = app.tasks[message.type]._returns.read(result or b"")
        return Verdict(found, message.retried if found else 0, message.error_msg, value)

    def _read(self) -> frames.FromChild:
        header = self._stream.read(frames.LENGTH)
        return frames.decode_from_child(self._stream.read(frames.body_size(header)))

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._stream.close()
        self._socket.close()
        self._marks.close()


class Eagerly:
    """Eager mode: from a function, from a coroutine that calls it like one, or from a coroutine that awaits."""

    def __init__(self, way: str) -> None:
        self._way = way
        self.app = TaskFlow("eager", eager=True, signing_keys=[KEY], retention=60)
        declare(self.app)

    def run(self, new: NewTask) -> Verdict:
        task = self.app.tasks[new.message.type if new.message.type != "nobody" else "add"]

        async def called() -> Any:
            return self.app._enqueue(task, new, 1)

        async def awaited() -> Any:
            return await self.app._aenqueue(task, new, 1)

        if self._way == "eager":
            handle = self.app._enqueue(task, new, 1)
        else:
            handle = asyncio.run(called() if self._way == "eager on a loop" else awaited())
        if handle.state is None:
            return Verdict(None)
        info = self.app.result(new.id).info()
        assert info == handle.info()
        value = handle.get() if handle.state is State.COMPLETED else None
        return Verdict(info.state, info.retried, info.last_error, value)


WAYS = ("in threads", "in the main thread", "solo", "eager", "eager on a loop", "eager awaited")


@pytest.fixture(scope="module")
def ways() -> Iterator[dict[str, Callable[[NewTask], Verdict]]]:
    with ExitStack() as stack:
        children = {way: Child(way) for way in WAYS[:3]}
        for child in children.values():
            stack.callback(child.close)
        yield {way: (children.get(way) or Eagerly(way)).run for way in WAYS}


@pytest.mark.parametrize("style", ["", "a"], ids=["function", "coroutine"])
@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_the_same_everywhere(
    case: str, style: str, ways: dict[str, Callable[[NewTask], Verdict]]
) -> None:
    """A test in eager mode that a worker does not agree with proves nothing: there, nothing was retried, nothing expired, no key
    was asked, and what was cancelled ended the test.
    """
    variable.set("of the caller")
    wanted = CASES[case].then
    with ThreadPoolExecutor(len(ways)) as pool:
        calls = {way: partial(run, CASES[case].new(app, style)) for way, run in ways.items()}
        running = {way: pool.submit(copy_context().run, call) for way, call in calls.items()}
    for way in ways:
        found = running[way].result()
        if wanted.error and fnmatchcase(found.error, wanted.error):
            found = replace(found, error=wanted.error)
        assert found == wanted, way


def test_only_what_has_returned_is_told_as_a_success() -> None:
    """What had expired on its way to its thread was "archived", and then "succeeded in 0.0000s"."""
    pipeline = Pipeline(app.tasks)
    message = TaskMessage(type="add", payload=b'{"first":1}', id="a", queue="q", timeout=60)
    told: list[events.Event] = []
    detach = events.attach(told.append)
    try:
        attempt = pipeline.receive(frames.Job(1, "q", b"a", message.encode(), expires_at_ms=1))
        assert isinstance(attempt, Attempt)
        outcome = copy_context().run(pipeline.run, attempt, lambda attempt: 3)
        pipeline.reporter.ended(attempt, outcome)
    finally:
        detach()

    assert [type(event) for event in told] == [events.Received, events.Expired]
