"""`-P processes`: a task has the main thread of its child, and its limit and its cancel reach it inside blocking calls."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taskflow.errors import TaskCancelled, TaskTimeout
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.pipe import frames, shared_marks
from taskflow.states import Verb
from taskflow.tasks import interrupts
from taskflow.tasks.interrupts import MainThreadLimit
from tests.servers import wait_until
from tests.worker.attempts import error_of
from tests.workers import ROOT

LATE = 3.0
"""Seconds that a machine full of other tests may need besides; alone it takes some milliseconds."""


class MainThreadChild:
    """A child of `-P processes`, and its outcomes."""

    def __init__(self) -> None:
        self.socket, its = socket.socketpair()
        memory = shared_marks.create()
        self.marks = shared_marks.SharedMarks(memory, 1)
        command = [sys.executable, "-P", "-m", "taskflow.runner", "--app=tests.worker.main_thread_app"]
        command += [f"--socket={its.fileno()}", f"--marks={memory}", "--slots=1", "--main-thread"]
        self.process = subprocess.Popen(
            command,
            pass_fds=(its.fileno(), memory),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(memory)
        its.close()
        self._stream = self.socket.makefile("rb")
        self._number = 0
        self._outcomes: dict[int, tuple[Outcome, float]] = {}
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def start(self, name: str, timeout: int = 60, **arguments: Any) -> int:
        """Send a job; its number."""
        self._number += 1
        number, id_ = self._number, f"t{self._number}"
        payload = msgspec.json.encode(arguments)
        message = TaskMessage(
            type=name, payload=payload, id=id_, queue="q", timeout=timeout, retention=60
        ).encode()
        self.marks.expect(number)
        self.send(frames.Jobs([frames.Job(number, "q", id_.encode(), message)]))
        return number

    def started(self, number: int) -> None:
        """Wait until it runs."""
        wait_until(lambda: self.marks.has_started(number), description="the start of a task")

    def cancel(self, number: int) -> None:
        self.send(frames.Cancel(number))

    def send(self, value: Any) -> None:
        self.socket.sendall(frames.frame(value))

    def outcome(self, number: int, timeout: float = 20) -> tuple[Outcome, float]:
        """Wait for an outcome; it, and the monotonic second at which it was here."""
        with self._came:
            assert self._came.wait_for(lambda: number in self._outcomes, timeout), "no outcome"
            return self._outcomes[number]

    def run(self, name: str, timeout: int = 60, **arguments: Any) -> Any:
        """What a task returns."""
        outcome, _ = self.outcome(self.start(name, timeout, **arguments))
        assert outcome.verb == Verb.COMPLETE, error_of(outcome)
        return msgspec.json.decode(outcome.result)

    def _read(self) -> None:
        while header := self._stream.read(frames.LENGTH):
            value = frames.decode_from_child(self._stream.read(frames.body_size(header)))
            if isinstance(value, frames.Outcomes):
                with self._came:
                    now = time.monotonic()
                    self._outcomes.update({item.number: (item, now) for item in value.items})
                    self._came.notify_all()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        self._stream.close()
        self.socket.close()
        self.marks.close()


@pytest.fixture(scope="module")
def child() -> Iterator[MainThreadChild]:
    child = MainThreadChild()
    yield child
    child.close()


def test_a_task_runs_in_the_main_thread(child: MainThreadChild) -> None:
    assert child.run("where") == "MainThread"


@pytest.mark.parametrize("name", ["sleeps", "receives", "reads", "locked", "waits", "runs_a_loop", "asleep"])
def test_limits_and_cancels_come_inside_blocking_calls(child: MainThreadChild, name: str) -> None:
    """In a thread such a task went on until its process was killed at the hard limit."""
    arguments = {"seconds": 60} if name == "sleeps" else {}
    began = time.monotonic()
    outcome, at = child.outcome(child.start(name, 1, **arguments))
    assert (outcome.verb, error_of(outcome)) == (Verb.RETRY, "time limit of 1 s exceeded")
    assert 0.99 < at - began < 1.2 + LATE
    number = child.start(name, **arguments)
    child.started(number)
    time.sleep(0.05)  # until it blocks
    asked = time.monotonic()
    child.cancel(number)
    outcome, at = child.outcome(number)
    assert (outcome.verb, error_of(outcome)) == (Verb.ARCHIVE, "cancelled")
    assert at - asked < 0.5 + LATE
    assert child.run("quick") == 0


def test_a_program_that_a_task_runs_ends_with_its_cancel(child: MainThreadChild, tmp_path: Path) -> None:
    """`subprocess.run` kills what it has started when an exception comes out of its wait: now one does."""
    file = tmp_path / "pid"
    number = child.start("runs_a_program", file=str(file))
    wait_until(lambda: file.exists() and file.read_text(), description="the program runs")
    child.cancel(number)
    assert error_of(child.outcome(number)[0]) == "cancelled"
    assert not Path(f"/proc/{file.read_text()}").exists()


@pytest.mark.parametrize("name", ["computes", "logs", "finalizes"])
def test_it_comes_where_it_does_no_harm_and_is_not_lost(child: MainThreadChild, name: str) -> None:
    """In a log handler or a finalizer it would be printed and gone, and the lock of a log held for ever."""
    outcome, _ = child.outcome(child.start(name, 1))
    assert (outcome.verb, error_of(outcome)) == (Verb.RETRY, "time limit of 1 s exceeded")
    number = child.start(name)
    child.started(number)
    child.cancel(number)
    assert error_of(child.outcome(number)[0]) == "cancelled"


def test_a_limit_is_raised_once_so_that_a_task_can_clean_up(child: MainThreadChild) -> None:
    assert child.run("cleans_up", 1) == "clean"


def test_a_signal_on_its_way_never_hits_the_next_task(child: MainThreadChild) -> None:
    """Cancels are sent at all moments around the end of a task, and the next one begins at once: it has done nothing wrong.

    The handler looks at which attempt was meant. Without that, every signal that is handled late ends what runs then.
    """
    dice = random.Random(12)
    ended = cancelled = 0
    for _ in range(300):
        first, second = (
            child.start("quick", rounds=dice.randrange(20_000)),
            child.start("quick", rounds=3_000),
        )
        time.sleep(dice.uniform(0, 0.001))
        for _ in range(3):
            child.cancel(first)
        outcome, _ = child.outcome(first)
        cancelled += outcome.verb == Verb.ARCHIVE
        ended += outcome.verb == Verb.COMPLETE
        assert child.outcome(second)[0].verb == Verb.COMPLETE
    assert ended + cancelled == 300
    assert ended > 10


@pytest.fixture
def limit() -> Iterator[MainThreadLimit]:
    """That of this thread, which is the main thread of the tests."""
    before = signal.getsignal(interrupts.SIGNAL)
    yield MainThreadLimit()
    signal.signal(interrupts.SIGNAL, before)


def test_a_signal_that_is_handled_in_the_next_attempt_raises_nothing(limit: MainThreadLimit) -> None:
    """It was sent while the first ran, and the system, or another thread, was slow."""
    limit.open(b"t1", time.monotonic() + 60)
    limit.ask(TaskCancelled, limit.number)
    assert limit.close() is None
    signal.raise_signal(interrupts.SIGNAL)
    limit.open(b"t2", time.monotonic() + 60)
    signal.raise_signal(interrupts.SIGNAL)
    assert limit.close() is None


def test_each_kind_is_raised_once_and_after_a_cancel_nothing_is(limit: MainThreadLimit) -> None:
    limit.open(b"t1", time.monotonic() + 60)
    for error in (TaskTimeout, TaskCancelled):
        limit.ask(error, limit.number)
        with pytest.raises(error):
            signal.raise_signal(interrupts.SIGNAL)
        signal.raise_signal(interrupts.SIGNAL)
    limit.ask(TaskTimeout, limit.number)
    signal.raise_signal(interrupts.SIGNAL)
    assert limit.close() is TaskCancelled


def test_a_limit_that_falls_together_with_the_end_never_hits_the_next_task(child: MainThreadChild) -> None:
    for number in range(6):
        seconds = 0.999 + number * 0.0005
        first, second = child.start("sleeps", 1, seconds=seconds), child.start("sleeps", 9, seconds=0.01)
        assert child.outcome(first)[0].verb in {Verb.COMPLETE, Verb.RETRY}
        assert child.outcome(second)[0].verb == Verb.COMPLETE


def test_tasks_have_signals_of_their_own_and_their_forks_the_usual_ones(child: MainThreadChild) -> None:
    """`signal.signal` works in the main thread only, so in other pools it fails."""
    assert child.run("own_alarm") == "heard"
    assert child.run("forks") == 7


def test_a_child_ends_with_its_exit_functions_in_its_main_thread(tmp_path: Path) -> None:
    child = MainThreadChild()
    try:
        number = child.start("sleeps", seconds=60)
        child.started(number)
        child.send(frames.End())
        child.socket.shutdown(socket.SHUT_WR)
        assert child.process.wait(10) == 0  # also while a task runs, which was given back
    finally:
        child.close()
