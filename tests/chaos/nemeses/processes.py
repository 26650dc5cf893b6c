"""Workers and their children: killed, stopped, told to end."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from tests.servers import wait_until

from ..saboteur import DEADLY
from .base import Nemesis


class WorkerKill(Nemesis):
    """Its tasks wait for the end of their leases; its children end with it."""

    name = "worker-kill"
    description = "`kill -9` of a worker; another takes its place"
    pause = (4.0, 8.0)
    kills_attempts = True
    ends_leases = True

    def strike(self) -> None:
        member = self.rng.choice(self.world.fleet.members)
        self.world.fleet.replace(member, signal.SIGKILL, 10)


class _Child(Nemesis):
    """Something goes wrong inside a child. What goes wrong with one child keeps nothing else waiting for long."""

    pause = (6.0, 10.0)

    def child(self) -> int:
        """One that runs tasks: not one that waits for suspects, nor one that has not said hello, whose worker would give up."""
        fleet = self.world.fleet
        with fleet.lock:
            pids = [pid for member in fleet.members for pid in fleet.children(member)]
        worked = {pid: self._worked_at(pid) for pid in pids}
        newest = max(worked.values(), default=0.0)
        if not newest:
            raise LookupError("no worker has a child yet")
        return self.rng.choice(sorted(pid for pid, at in worked.items() if at > newest - 1.0))

    def order(self, what: str) -> None:
        """Let the saboteur of a child do something; see `tests.chaos.saboteur`."""
        pid = self.child()
        path = self.world.directory / f"order-{pid}"
        written = path.with_suffix(".new")
        written.write_text(what)
        written.rename(path)  # in one step: half an order would end the saboteur
        wait_until(
            lambda: not path.exists() or not Path(f"/proc/{pid}").exists(), description=f"order {what}"
        )

    def _worked_at(self, pid: int) -> float:
        try:
            return (self.world.directory / f"handler-{pid}.ledger").stat().st_mtime
        except FileNotFoundError:
            return 0.0


class ChildKill(_Child):
    """The worker knows what the child held."""

    name = "child-kill"
    description = "`kill -9` of a worker's child"
    pause = (2.0, 4.0)
    kills_attempts = True

    def strike(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child(), signal.SIGKILL)


class ChildHeir(_Child):
    """The socket stays open: what a child has forked holds a copy of it."""

    name = "child-heir"
    description = (
        "`kill -9` of a worker's child while a process that it has forked lives on, with all that was open"
    )
    kills_attempts = True

    def strike(self) -> None:
        self.order("heir")


class ChildStop(_Child):
    """It is there, its socket is open, and it reads nothing."""

    name = "child-stop"
    description = "SIGSTOP of a worker's child until it is replaced, and for 2 s more, then SIGCONT"
    delays_verdicts = True

    def strike(self) -> None:
        pid = self.child()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                self.wait(self.world.stuck + 2.0)
            finally:
                os.kill(pid, signal.SIGCONT)


class ChildLoop(_Child):
    """Functions run as before; coroutines do not start, and those that run stand still."""

    name = "child-loop"
    description = "the event loop of a worker's child is blocked until it is replaced, and longer"
    delays_verdicts = True

    def strike(self) -> None:
        self.order("loop")


class ChildThreads(_Child):
    """The next function that is to run finds nobody."""

    name = "child-threads"
    description = "every thread of a child that waits for a task ends"
    kills_attempts = True

    def strike(self) -> None:
        self.order("threads")


class ChildLog(_Child):
    """No line can be logged; verdicts can be sent."""

    name = "child-log"
    description = "a filter in a child's log raises for every record"

    def strike(self) -> None:
        self.order("log")


class ChildDeaths(_Child):
    """A library that crashes at its start."""

    name = "child-deaths"
    description = "a worker's child is killed, and those after it die at once, for 3 s"
    kills_attempts = True
    pause = (15.0, 20.0)

    def strike(self) -> None:
        mark = self.world.directory / DEADLY
        mark.touch()
        try:
            self.wait(3.0)
        finally:
            mark.unlink()


class WorkerPause(Nemesis):
    """As a suspended virtual machine: others take over its tasks, and its late verdicts must be refused."""

    name = "worker-pause"
    description = "SIGSTOP of a worker and its children for longer than the lease, then SIGCONT"
    pause = (3.0, 6.0)
    kills_attempts = True
    ends_leases = True

    def strike(self) -> None:
        member = self.rng.choice(self.world.fleet.members)
        # Nobody else may end it meanwhile: its place in the fleet is ours.
        with self.world.fleet.lock:
            assert member.process is not None
            # Each child is the leader of a group of its own.
            groups = [member.process.pid, *self.world.fleet.children(member)]
            self._tell(groups, signal.SIGSTOP)
            try:
                # Over the lease by more than the time between two looks for leases that have ended (`tuning.quick`).
                self.wait(self.world.lease * (1.25 + self.rng.uniform(0, 0.1)))
            finally:
                self._tell(groups, signal.SIGCONT)

    @staticmethod
    def _tell(groups: list[int], number: signal.Signals) -> None:
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)


class WorkerTerm(Nemesis):
    """A rolling deploy."""

    name = "worker-term"
    description = "SIGTERM of one worker after the other; each is replaced when it has ended"
    pause = (3.0, 6.0)
    kills_attempts = True

    def strike(self) -> None:
        members = self.world.fleet.members
        self.world.fleet.replace(members[self.strikes % len(members)], signal.SIGTERM, 60)
