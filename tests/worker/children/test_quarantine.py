"""Who shares a process with whom after a crash, and what goes back for other workers (no processes here)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from taskflow.broker.commands.dequeue import Taken
from taskflow.message.outcome import Outcome
from taskflow.states import Verb
from taskflow.telemetry.events import Quarantined
from taskflow.worker.children import quarantine
from taskflow.worker.children.quarantine import MOST_PROCESSES, Quarantine, groups_for
from taskflow.worker.children.starter import pause_after
from taskflow.worker.holding.held_tasks import Held
from tests.listening import listening
from tests.servers import until


def suspects(count: int, crashes: int = 1) -> list[Held]:
    return [Held("q", Taken(f"{crashes}-{n}", b"", "r", crashes)) for n in range(count)]


class Scene:
    """A quarantine whose children are objects that keep what they are sent."""

    def __init__(self, widest: int = 1000) -> None:
        self.children: list[Any] = []
        self.back: list[tuple[Held, Outcome]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.quarantine = Quarantine(widest, self._start, self.back.extend, lambda: None, self._background)

    def groups(self) -> list[int]:
        return sorted(len(child.jobs) for child in self.children)

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def _start(self, slots: int) -> Any:
        child = SimpleNamespace(jobs={}, slots=slots, retiring=False, closed=False, close=lambda: None)
        child.send_jobs = lambda items: child.jobs.update((held.id, held) for held in items)
        self.children.append(child)
        return child

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))


def play(act: Callable[[Scene], Any], widest: int = 1000) -> Scene:
    async def run() -> Scene:
        scene = Scene(widest)
        act(scene)
        await scene.settle()
        scene.end()
        return scene

    return asyncio.run(run())


def test_suspects_of_one_crash_are_spread_over_few_processes_and_none_waits() -> None:
    assert play(lambda scene: scene.quarantine.give(suspects(20))).groups() == [6, 7, 7]
    assert play(lambda scene: scene.quarantine.give(suspects(2))).groups() == [1, 1]
    assert [groups_for(count) for count in (1, 3, 20, 40, 400)] == [1, 3, 3, 5, 8]
    many = play(lambda scene: scene.quarantine.give(suspects(400)))
    assert many.groups() == [50] * 8
    assert not many.back


def test_a_suspect_of_two_crashes_is_alone_also_beside_those_of_one() -> None:
    def act(scene: Scene) -> None:
        scene.quarantine.give(suspects(3, crashes=2))
        scene.quarantine.give(suspects(4, crashes=1))

    scene = play(act)
    alone = [
        child for child in scene.children if any(held.taken.crashes == 2 for held in child.jobs.values())
    ]
    assert [len(child.jobs) for child in alone] == [1, 1, 1]
    assert sum(scene.groups()) == 7


def test_what_cannot_be_started_goes_back_for_others_and_counts_nothing() -> None:
    """Each process has the app in memory; a bound on them must not keep tasks here that another worker could run."""
    scene = play(lambda scene: scene.quarantine.give(suspects(20, crashes=2)))
    assert scene.groups() == [1] * MOST_PROCESSES
    assert [(outcome.verb, outcome.delay > 0) for _, outcome in scene.back] == [(Verb.SNOOZE, True)] * (
        20 - MOST_PROCESSES
    )


def test_a_suspect_that_has_waited_for_its_process_is_not_late() -> None:
    """A process takes longer to start than a job may wait in one: suspects were taken back unstarted, taken once more, and
    told of twice.
    """
    waiting = suspects(2)
    for held in waiting:
        held.ready_at -= 1
    began = time.monotonic()
    play(lambda scene: scene.quarantine.give(waiting))
    assert all(held.ready_at >= began for held in waiting)


def test_processes_are_started_in_the_moment_of_the_crash_and_used_by_what_comes_back() -> None:
    async def run() -> None:
        scene = Scene()
        scene.quarantine.expect([1] * 20)
        await scene.settle()
        assert [child.slots for child in scene.children] == [6, 7, 7]
        await asyncio.sleep(0.1)
        assert scene.quarantine.room() == 20
        scene.quarantine.arrived(20)
        scene.quarantine.give(suspects(20))
        assert scene.groups() == [6, 7, 7]
        assert scene.quarantine.room() == 0
        scene.end()

    asyncio.run(run())


def test_with_a_process_for_each_task_no_suspect_shares_one() -> None:
    """`-P processes` is for libraries that are not safe with threads: a group would run them in threads."""
    assert play(lambda scene: scene.quarantine.give(suspects(8)), widest=1).groups() == [1] * 8


def test_the_pause_before_a_start_grows_with_the_deaths_in_a_row() -> None:
    assert [pause_after(deaths) for deaths in (0, 2, 3, 4, 5, 8, 9, 40)] == [0, 0, 0.5, 1, 2, 16, 30, 30]


def test_suspects_of_one_crash_are_spoken_of_once_however_they_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They were taken one by one, and each was a line: "1 tasks were running when a process died", twenty times."""
    monkeypatch.setattr(quarantine, "GATHER_SECONDS", 0.05)

    async def run() -> None:
        scene = Scene()
        with listening(Quarantined) as told:
            for held in suspects(20):
                scene.quarantine.give([held])
                await scene.settle()
            await until(lambda: told)
            scene.quarantine.give(suspects(2, crashes=2))
            await until(lambda: len(told) > 1)
        assert told == [
            Quarantined(tuple((f"1-{n}", "q", 1) for n in range(20))),
            Quarantined((("2-0", "q", 2), ("2-1", "q", 2))),
        ]
        scene.end()

    asyncio.run(run())
