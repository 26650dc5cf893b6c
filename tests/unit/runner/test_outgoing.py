"""What a child says: everything, in batches, by one thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from taskflow.message.outcome import Outcome
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


@pytest.fixture
def scene() -> Iterator[Scene]:
    with closing(Scene()) as scene:
        yield scene


def done(number: int) -> Outcome:
    return Outcome(number, Verb.DONE)


def test_what_has_gathered_goes_together_and_no_frame_is_too_long(scene: Scene) -> None:
    for number in range(OUTCOMES_PER_FRAME + 3):
        scene.outgoing.outcome(done(number))
    scene.outgoing.start()

    first, second = scene.read(), scene.read()

    assert len(first.items) == OUTCOMES_PER_FRAME
    assert [one.number for one in first.items + second.items] == list(range(OUTCOMES_PER_FRAME + 3))


def test_what_was_counted_comes_right_before_the_verdicts_that_it_counts(scene: Scene) -> None:
    """A worker that heard the verdicts first told of tasks that it had not counted."""
    scene.counts = [TaskCount("work", 1, 0, 0.5, 0.5)]
    scene.outgoing.outcome(done(1))
    scene.outgoing.start()

    assert scene.read() == frames.Events([TaskCount("work", 1, 0, 0.5, 0.5)])
    assert scene.read() == frames.Outcomes([done(1)])
    scene.outgoing.outcome(done(2))
    assert scene.read() == frames.Outcomes([done(2)]), "nothing was counted since"


def test_whatever_else_is_asked_for_is_answered_once(scene: Scene) -> None:
    scene.outgoing.start()
    scene.outgoing.returned(7)
    assert scene.read() == frames.Returned([7])
    scene.outgoing.pong()
    assert scene.read() == frames.Pong()
    scene.outgoing.stacks("here")
    assert scene.read() == frames.Stacks("here")
    scene.outgoing.outcome(done(1))
    assert scene.read() == frames.Outcomes([done(1)])


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
        seen += [one.number for one in scene.read().items]

    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(800))
