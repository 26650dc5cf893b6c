"""Planted bugs: the mistakes that this harness exists to find, so that it can be shown to find them.

Each changes modules or Lua text in the processes under test, at their start (`tuning`); the product has no hook for it.
`tests/harness/test_plants.py` runs each beside what must catch it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from taskflow.broker.scripts import Script, load


@dataclass(frozen=True)
class Plant:
    """A planted bug: what it is, and what makes it so."""

    description: str
    scripts: Sequence[tuple[str, str, str]] = ()
    """Script, pattern, and the text instead of what it matches."""
    patch: Callable[[], None] = lambda: None

    def apply(self) -> None:
        """Make this process have the bug."""
        for name, planted in self.planted().items():
            script = load(name)
            # The loader's cache hands this very object to everybody.
            object.__setattr__(script, "source", planted.source)
            object.__setattr__(script, "sha", planted.sha)
        self.patch()

    def planted(self) -> dict[str, Script]:
        """The changed scripts, by name."""
        changed: dict[str, Script] = {}
        for name, pattern, text in self.scripts:
            script = changed.get(name) or load(name)
            source, count = re.subn(pattern, lambda _, text=text: text, script.source)  # type: ignore[misc]
            if not count:
                raise LookupError(f"{name}.lua has no {pattern!r} any more: the plant needs care")
            changed[name] = replace(script, source=source, sha=hashlib.sha1(source.encode()).hexdigest())
        return changed


@cache
def planted_names() -> dict[str, str]:
    """The names of all changed scripts by their SHA-1, for whoever counts commands."""
    names: dict[str, str] = {}
    for plant in PLANTS.values():
        with contextlib.suppress(LookupError):  # said where the plant is wanted
            names |= {script.sha: name for name, script in plant.planted().items()}
    return names


def _acknowledge_first() -> None:
    from taskflow.message.outcome import Outcome
    from taskflow.states import Verb
    from taskflow.worker.taking.intake import Intake
    from taskflow.worker.worker import Worker

    take, outcomes, done = Intake.take, Worker._outcomes, Worker._done
    acknowledged: set[Any] = set()

    def early(self: Any, queue: str, tasks: list[Any]) -> None:
        before = set(self._held_tasks)
        take(self, queue, tasks)
        if not self._is_open():
            return
        acker = self._outcomes.__self__._parts.acker
        for held in set(self._held_tasks) - before:
            acknowledged.add(held)
            acker.add([(held, Outcome(0, Verb.DONE))])

    def late(self: Any, items: list[Any]) -> None:
        outcomes(self, [(held, outcome) for held, outcome in items if held not in acknowledged])

    def done_late(self: Any, items: list[Any]) -> None:
        done(self, [held for held in items if held not in acknowledged])

    Intake.take = early  # type: ignore[method-assign]
    Worker._outcomes = late  # type: ignore[method-assign]
    Worker._done = done_late  # type: ignore[method-assign]


def _forget_verdicts() -> None:
    """As Asynq since 0.25: what repeats a verdict has a deadline that has already passed."""
    from taskflow.worker.holding.acker import Acker

    write = Acker._write_batch

    async def once(self: Any, name: str, queue: Any, batch: Any) -> None:
        try:
            await asyncio.wait_for(write(self, name, queue, batch), 1.0)
        except TimeoutError:
            queue.settled(batch)
            self._held_tasks.remove(name, batch.held())

    Acker._write_batch = once  # type: ignore[method-assign]


BEAT = 0.1


def _beat_among_tasks() -> None:
    """The child beats from a thread beside the tasks; the worker extends leases only while it hears that."""
    folder = Path(os.environ["TASKFLOW_CHAOS_LEDGER"])
    if os.environ.get("TASKFLOW_WORKER"):  # a child
        mark = folder / f"beat-{os.getpid()}"

        def beat() -> None:
            while True:
                mark.touch()
                time.sleep(BEAT)

        threading.Thread(target=beat, daemon=True).start()
        return
    from taskflow.worker.holding import leases

    tick = leases.Leases.tick

    async def if_heard(self: Any) -> float:
        silent = [path for path in folder.glob("beat-*") if time.time() - path.stat().st_mtime > 10 * BEAT]
        return self.timings.lease_extension if silent else await tick(self)

    leases.Leases.tick = if_heard  # type: ignore[method-assign]


def _forget_what_a_child_held() -> None:
    from taskflow.worker.children.leftovers import Leftovers

    def bury(self: Any, child: Any, code: int, *, stopping: bool) -> None:
        child.left()

    Leftovers.bury = bury  # type: ignore[method-assign]


def _wait_elsewhere() -> None:
    """WAIT on another connection of the pool has nothing to wait for, and says so at once."""
    from taskflow.connection.sync import SyncDriver

    make = SyncDriver._trip

    def split(trip: Any) -> tuple[Any, Any]:
        cut = next((at for at, wire in enumerate(trip.wires) if wire[0] == "WAIT"), len(trip.wires))
        return replace(trip, wires=trip.wires[:cut]), replace(trip, wires=trip.wires[cut:])

    async def make_two(self: Any, trip: Any, deadline: float, *rest: Any, **how: Any) -> Any:
        script, waits = split(trip)
        replies = await make(self, script, deadline, *rest, **how)
        if not waits.wires or not isinstance(replies, list):
            return replies
        # The first went back to the pool: taken out again, so that this one is another.
        first = self._pools[trip.address].pop()
        more = await make(self, waits, deadline)
        self._give_back(trip.address, first)
        return [*replies, *more] if isinstance(more, list) else more

    SyncDriver._trip = make_two  # type: ignore[method-assign]


PLANTS: dict[str, Plant] = {
    "acknowledge-first": Plant("a task is acknowledged before it runs", patch=_acknowledge_first),
    "dequeue-ignores-token": Plant(
        "a dequeue that is sent again takes other tasks",
        [("dequeue", "if resent == '1' then", "if resent == 'never' then")],
    ),
    "no-fencing": Plant(
        "a verdict is accepted from whoever sends it",
        [
            (
                "finish",
                r"return state == 'active' and receipt == token and [^\n]*",
                "return state",
            )
        ],
    ),
    "resend-has-a-fresh-id": Plant(
        "an enqueue that is sent again makes a second task",
        [
            (
                "enqueue",
                r"local task, lock, group_key = KEYS\[key\], nil, nil",
                "local task, lock, group_key = KEYS[key], nil, nil\n"
                "if resent == '1' then id = id .. '-again'; task = task .. '-again' end",
            )
        ],
    ),
    "resend-is-a-conflict": Plant(
        "an enqueue that is sent again finds its own first copy and calls it a conflict",
        [("enqueue", "known = resent == '1' and", "known = resent == 'never' and")],
    ),
    "verdict-is-not-repeated": Plant(
        "a verdict that cannot be written at once is forgotten", patch=_forget_verdicts
    ),
    "heartbeat-among-tasks": Plant(
        "leases are extended by a thread of the process that runs the tasks", patch=_beat_among_tasks
    ),
    "recovery-loses": Plant(
        "a task whose worker is gone leaves active and goes nowhere",
        [("recover", r"redis.call\('RPUSH', pending, id\)", "redis.call('GET', pending .. id)")],
    ),
    "child-takes-along": Plant(
        "what a dead child held is neither given back nor let go", patch=_forget_what_a_child_held
    ),
    "wait-elsewhere": Plant("WAIT goes down another connection than the write", patch=_wait_elsewhere),
}
