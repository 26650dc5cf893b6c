"""Servers: killed, stopped, restarted, made to fail over, their caches and clients thrown out, their memory full."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import ClassVar

import redis

from tests.servers import wait_until

from ..target import SingleTarget, ask
from .base import Nemesis


class _Server(Nemesis):
    """Hurts a server of the tested queues: what a replica had not heard of is gone, verdicts too."""

    hurts_servers = True
    kills_attempts = True
    delays_verdicts = True
    ends_leases = True
    pause = (5.0, 10.0)

    def victim(self) -> tuple[int, int]:
        """Process id and port of a server that owns one of the queues."""
        target = self.world.target
        port = target.port_of(self.rng.choice(self.world.queues))
        return next((pid, found) for pid, found in target.masters().items() if found == port)

    def mend(self) -> None:
        self.world.target.heal()


class MasterKill(_Server):
    """A replica is promoted; the dead node comes back as its replica. One server just comes back."""

    name = "master-kill"
    description = "`kill -9` of a queue's master; it is started again after a replica was promoted"

    def strike(self) -> None:
        pid, port = self.victim()
        os.kill(pid, signal.SIGKILL)
        if isinstance(self.world.target, SingleTarget):
            self.wait(self.rng.uniform(0.5, 3.0))
        else:
            wait_until(lambda: self._replaced(port), description="a replica was promoted", timeout=30)
            self.wait(self.rng.uniform(0.0, 3.0))

    def _replaced(self, port: int) -> bool:
        masters = self.world.target.masters()
        return port not in masters.values() and len(masters) == 3


class MasterPause(_Server):
    """It neither answers nor closes: only timeouts notice."""

    name = "master-pause"
    description = "SIGSTOP of a queue's master for 1 to 12 s, then SIGCONT"

    def strike(self) -> None:
        pid, _ = self.victim()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.wait(self.rng.uniform(1.0, 12.0))
        finally:
            os.kill(pid, signal.SIGCONT)


class ReplicaPause(_Server):
    """No replica can confirm a write, and its master does not know that: a durable call must not return."""

    name = "replica-pause"
    description = "SIGSTOP of the replica of a queue's master for 2 to 4 s, then SIGCONT"
    kills_attempts = False
    ends_leases = False

    def prepare(self) -> None:
        """A replica that is not online yet confirms nothing, and no call waits for it: that is no blow."""
        self.whom = self.rng.choice(self.world.queues)
        wait_until(self._is_online, description="the master has its replica online", timeout=30)

    def _is_online(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            port = self.world.target.port_of(self.whom)
            return b"state=online" in ask(port, "INFO", "replication")
        return False

    def strike(self) -> None:
        cluster = self.world.cluster
        pids = [node.pid for node in cluster.replicas(cluster.owner(self.whom)) if node.pid is not None]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            self.wait(self.rng.uniform(2.0, 4.0))
        finally:
            # Mended in the ledger before in truth: what is confirmed from here on is confirmed rightly.
            self.lasted()
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


class MasterRestart(_Server):
    """An operator's restart."""

    name = "master-restart"
    description = "SIGTERM of a queue's master, and a start"

    def strike(self) -> None:
        pid, _ = self.victim()
        os.kill(pid, signal.SIGTERM)
        wait_until(
            lambda: pid not in self.world.target.masters(), description="the server has ended", timeout=30
        )


class Failover(_Server):
    """The master and its replica hand over in order: nothing may be lost or noticed."""

    name = "failover"
    description = "`CLUSTER FAILOVER`"
    words: ClassVar[tuple[str, ...]] = ()
    pause = (4.0, 8.0)

    def strike(self) -> None:
        cluster = self.world.cluster
        master = cluster.owner(self.rng.choice(self.world.queues))
        replica = self.rng.choice(cluster.replicas(master))
        assert replica.port is not None
        ask(replica.port, "CLUSTER", "FAILOVER", *self.words)
        wait_until(
            lambda: replica.port in cluster.masters().values(),
            description="the replica is master",
            timeout=20,
        )


class FailoverForce(Failover):
    """The replica does not wait for the master: what it had not heard of is gone."""

    name = "failover-force"
    description = "`CLUSTER FAILOVER FORCE`"
    words = ("FORCE",)


class FailoverTakeover(Failover):
    """The replica asks nobody."""

    name = "failover-takeover"
    description = "`CLUSTER FAILOVER TAKEOVER`"
    words = ("TAKEOVER",)


class ScriptFlush(Nemesis):
    """As after a restart: every script has to be sent again."""

    name = "script-flush"
    description = "`SCRIPT FLUSH` on every master"
    pause = (0.3, 1.0)

    def strike(self) -> None:
        for port in self.world.target.masters().values():
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):  # another nemesis has it
                ask(port, "SCRIPT", "FLUSH", "SYNC")


class ClientKill(Nemesis):
    """Every connection at once, waiting or not."""

    name = "client-kill"
    description = "`CLIENT KILL TYPE normal` on a master"
    pause = (1.0, 3.0)

    def strike(self) -> None:
        ports = sorted(self.world.target.masters().values())
        if ports:
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                ask(self.rng.choice(ports), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


class MemoryFull(Nemesis):
    """Enqueues are refused; what takes and finishes must go on."""

    name = "memory-full"
    description = "`maxmemory` below what is used, with noeviction, for 1 to 4 s"
    pause = (3.0, 6.0)
    hurts_servers = True

    def strike(self) -> None:
        for port in self.world.target.masters().values():
            ask(port, "CONFIG", "SET", "maxmemory", "1mb", "maxmemory-policy", "noeviction")
        self.wait(self.rng.uniform(1.0, 4.0))

    def mend(self) -> None:
        deadline = time.monotonic() + 20
        for port in self.world.target.masters().values():
            while True:
                try:
                    ask(port, "CONFIG", "SET", "maxmemory", "0")
                    break
                except redis.RedisError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
