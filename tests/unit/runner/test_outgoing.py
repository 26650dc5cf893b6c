"""What a child says: everything, in batches, by one thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from taskflow.message.outcome import FollowUp, Outcome
from taskflow.message.report import Report
from taskflow.pipe import frames
from taskflow.runner.outgoing import OUTCOMES_PER_FRAME, Outgoing
from taskflow.states import Verb
from taskflow.telemetry.counts import TaskCount

LIMIT = 20.0
"""Seconds that it may take, on a machine that is busy."""


class Scene:
    """A child's side, and what its worker reads."""

    def __init__(self) -> None:
        self.worker, self.child = socket.socketpair()
        self.worker.settimeout(LIMIT)
        self._stream = self.worker.makefile("rb")
        self.counts: list[TaskCount] = []
        self.outgoing = Outgoing(self.child, self._take)

    def _take(self) -> list[TaskCount]:
        taken, self.counts = self.counts, []
        return taken

    def read(self) -> Any:
        """The next frame."""
        size = frames.body_size(self._stream.read(frames.LENGTH))
        return frames.decode_from_child(self._stream.read(size))

    def close(self) -> None:
        """Both ends: so the thread that sends ends too."""
        self.outgoing.pong()
        self._stream.close()
        self.worker.close()
        for thread in threading.enumerate():
            if thread.name == "taskflow-outgoing":
                self.outgoing.pong()
                thread.join(LIMIT)
        self.child.close()


def numbers(frame: frames.Outcomes) -> list[int]:
    return [*frame.done, *(one.number for one in frame.items)]


@pytest.fixture
def scene() -> Iterator[Scene]:
    with closing(Scene()) as scene:
        yield scene


def done(number: int, seconds: float = 0.0) -> Outcome:
    return Outcome(number, Verb.DONE, seconds=seconds)


def retried(number: int) -> Outcome:
    return Outcome(number, Verb.RETRY, b"a message")


@pytest.mark.parametrize("how", [done, retried])
def test_what_has_gathered_goes_together_and_no_frame_is_too_long(
    scene: Scene, how: Callable[[int], Outcome]
) -> None:
    for number in range(OUTCOMES_PER_FRAME + 3):
        scene.outgoing.outcome(how(number))
    scene.outgoing.start()

    first, second = (numbers(scene.read()) for _ in range(2))

    assert len(first) == OUTCOMES_PER_FRAME
    assert first + second == list(range(OUTCOMES_PER_FRAME + 3))


def test_of_tasks_that_are_simply_done_only_the_numbers_are_sent(scene: Scene) -> None:
    """Most are, and a worker needs nothing else of them. What is to be written down of one goes in full, whatever it is."""
    said = (Report(3, 1),)
    full = [
        retried(1),
        Outcome(4, Verb.DONE, lock="a-lock"),
        Outcome(6, Verb.DONE, said=said),
        Outcome(7, Verb.DONE, then=(FollowUp("q", "id", b"m"),)),
    ]
    for outcome in [full[0], done(2, 0.25), *full[1:], done(5, 0.5)]:
        scene.outgoing.outcome(outcome)
    scene.outgoing.start()

    assert scene.read() == frames.Outcomes([], [2, 5], 0.75)
    assert scene.read() == frames.Outcomes(full)


def test_what_was_counted_comes_right_before_the_verdicts_that_it_counts(scene: Scene) -> None:
    """A worker that heard the verdicts first told of tasks that it had not counted."""
    scene.counts = [TaskCount("work", 1, 0, 0.5, 0.5)]
    scene.outgoing.outcome(done(1))
    scene.outgoing.start()

    assert scene.read() == frames.Events([TaskCount("work", 1, 0, 0.5, 0.5)])
    assert scene.read() == frames.Outcomes([], [1])
    scene.outgoing.outcome(retried(2))
    assert scene.read() == frames.Outcomes([retried(2)]), "nothing was counted since"
    scene.counts = [TaskCount("work", 1, 1, 0.5, 0.5)]
    scene.outgoing.outcome(retried(3))
    assert isinstance(scene.read(), frames.Events)
    assert scene.read() == frames.Outcomes([retried(3)])


def test_whatever_else_is_asked_for_is_answered_once(scene: Scene) -> None:
    scene.outgoing.start()
    scene.outgoing.returned(7)
    assert scene.read() == frames.Returned([7])
    scene.outgoing.pong()
    assert scene.read() == frames.Pong()
    scene.outgoing.stacks("here")
    assert scene.read() == frames.Stacks("here")
    scene.outgoing.outcome(done(1))
    assert scene.read() == frames.Outcomes([], [1])


def test_verdicts_of_all_threads_arrive(scene: Scene) -> None:
    scene.outgoing.start()
    threads = [
        threading.Thread(
            target=lambda start=start: [scene.outgoing.outcome(done(start + n)) for n in range(200)]
        )
        for start in range(0, 800, 200)
    ]
    for thread in threads:
        thread.start()

    seen: list[int] = []
    while len(seen) < 800:
        seen += numbers(scene.read())

    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(800))
