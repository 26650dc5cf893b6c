"""Workers and their children: killed, stopped, told to end."""

from __future__ import annotations

import contextlib
import os
import signal

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


class ChildKill(Nemesis):
    """The worker knows what the child held."""

    name = "child-kill"
    description = "`kill -9` of a worker's child"
    pause = (2.0, 4.0)
    kills_attempts = True

    def strike(self) -> None:
        fleet = self.world.fleet
        with fleet.lock:
            # Of those that have run something: a worker whose first child dies before it has said hello gives up.
            pids = [pid for m in fleet.members for pid in fleet.children(m) if self._has_worked(pid)]
            if not pids:
                raise LookupError("no worker has a child yet")
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.rng.choice(sorted(pids)), signal.SIGKILL)

    def _has_worked(self, pid: int) -> bool:
        return (self.world.directory / f"handler-{pid}.ledger").exists()


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
                # Over the lease by more than the time between two looks for leases that have ended.
                self.wait(self.world.lease + 7 + self.rng.uniform(0, 3))
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
