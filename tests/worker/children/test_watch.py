"""When a child is killed that has a task over its hard limit (no processes here)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from taskflow.broker.commands.dequeue import Taken
from taskflow.pipe import shared_marks
from taskflow.worker.children.child import Child
from taskflow.worker.children.watch import Watch
from taskflow.worker.holding.held_tasks import Held
from taskflow.worker.timings import Timings

OVER, NEIGHBOUR = 1, 2
"""The numbers of two jobs, in the slots 0 and 1."""


class Scene:
    """A child that takes nothing more and runs two tasks: one is over its hard limit, the other within its own."""

    def __init__(self) -> None:
        self.killed = False
        memory = shared_marks.create()
        self.marks = shared_marks.SharedMarks(memory, 2)
        os.close(memory)
        self.ours, self.theirs = socket.socketpair()
        process: Any = SimpleNamespace(separate=True, pid=1, is_stopped=lambda: False, kill=self._kill)
        self.timings = Timings(complain=0.02, stuck=0.05, ask=0.01)
        self.child = Child(self.ours, self.marks, 2, process, self.timings)
        self.child.retiring = True
        keeper: Any = SimpleNamespace(children=[self.child], expire=lambda child, over: None)
        self.watch = Watch(keeper, self._backlog, self.timings)
        now = time.monotonic_ns()
        self.marks.expect(OVER, 2)
        for slot, number, limit in ((0, OVER, now - 1), (1, NEIGHBOUR, now + 10**12)):
            self.child.jobs[number] = Held("q", Taken(str(number), b"", "r"))
            assert self.marks.start(slot, number, now, limit)
        self.child._next = 3

    def _kill(self) -> None:
        self.killed = True

    async def _backlog(self) -> bool:
        return False

    def close(self) -> None:
        self.marks.close()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    scene = Scene()
    monkeypatch.setattr(scene.child, "kill", scene._kill)
    monkeypatch.setattr(scene.child, "ask", lambda now: None)
    yield scene
    scene.close()


def test_a_neighbour_within_its_limit_keeps_the_process(scene: Scene) -> None:
    scene.watch.look()
    assert not scene.killed


def test_a_neighbour_that_has_ended_keeps_it_until_its_verdict_is_here(scene: Scene) -> None:
    """It was killed between the end of the neighbour and its verdict, and the neighbour ran again."""
    scene.child.heard_at = time.monotonic() + 60  # it has just said something
    scene.marks.end(1)
    scene.watch.look()
    assert not scene.killed

    del scene.child.jobs[NEIGHBOUR]
    scene.watch.look()
    assert scene.killed


def test_a_verdict_that_does_not_come_is_not_waited_for(scene: Scene) -> None:
    """As where the task over its limit holds the interpreter."""
    scene.child.heard_at = time.monotonic() - 60
    scene.marks.end(1)
    looks = 0
    while not scene.killed:
        scene.watch.look()
        looks += 1
        assert looks < 10_000
        time.sleep(0.001)
    assert looks > 1
