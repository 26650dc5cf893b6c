"""Starts a server and a worker, feeds them, cuts their connections, and looks whether anything grows or stays."""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.errors import BrokerError
from taskflow.inspector import Inspector
from taskflow.states import State
from tests.servers import Server, start_server, wait_until
from tests.soak import app as module
from tests.soak.leaks import SITE
from tests.soak.samples import Growth, Sampler, children_of, growth
from tests.soak.settings import ALLOCATOR, MIX, Settings
from tests.workers import ROOT, WorkerProcess

QUEUES = (module.QUEUE, module.CANCEL_QUEUE)
BATCH = 500
DRAIN_SECONDS = 300.0

SPREAD = 5
"""Open files and threads that come and go: how many idle connections wait for their next use is a matter of the moment."""


@dataclass
class Report:
    """What the soak has seen."""

    tasks: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    processed: int = 0
    expected: int = 0
    keys_before: int = 0
    keys_after: int = 0
    growths: list[Growth] = field(default_factory=list)
    server_mib_before: float = 0.0
    server_mib_after: float = 0.0
    stayed: list[str] = field(default_factory=list)
    """Keys without an end that were not there before."""

    def problems(self, settings: Settings) -> list[str]:
        """What is not as it should be."""
        found = []
        for one in self.growths:
            if one.mib > settings.growth_mib:
                found.append(f"{one.role} {one.pid} grows by {one.mib:.1f} MiB in the second half")
            if one.files > SPREAD:
                found.append(f"{one.role} {one.pid} has {one.files} more files open at the end")
            # A child starts its threads when tasks first need them, which may be in the second half.
            if one.threads > SPREAD + (settings.concurrency if one.role == "child" else 0):
                found.append(f"{one.role} {one.pid} has {one.threads} more threads at the end")
        roles = Counter(one.role for one in self.growths)
        if roles != {"client": 1, "worker": 1, "child": settings.processes}:
            found.append(f"not every process lived through the whole run, but {dict(roles)}")
        if self.stayed:
            found.append(f"{len(self.stayed)} keys have stayed, as {self.stayed[0]}")
        if settings.settle_seconds and self.keys_after > self.keys_before:
            found.append(f"{self.keys_after - self.keys_before} more keys than before")
        if self.processed < self.expected:
            found.append(f"{self.expected - self.processed} verdicts are missing")
        # The only legal double: a batch whose reply was cut off, and of which tasks had ended when it was sent again.
        if self.processed > self.expected + self.cuts * BATCH:
            found.append(f"{self.processed - self.expected} verdicts are too many")
        return found

    def lines(self) -> list[str]:
        """The report as text."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        lines = [
            f"{self.tasks} tasks in {self.seconds:.1f} s ({self.tasks / max(self.seconds, 0.1):.0f} a second): {kinds}",
            f"connections cut {self.cuts} times; verdicts {self.processed}, expected {self.expected}",
            f"keys {self.keys_before} before, {self.keys_after} after; "
            f"server {self.server_mib_before:.1f} MiB before, {self.server_mib_after:.1f} after",
            f"{'process':>14}{'half':>8}{'end':>8}{'most':>8}{'slope':>8}  MiB{'files':>7}{'grown':>7}{'threads':>9}",
        ]
        for one in self.growths:
            lines.append(
                f"{one.role:>7}{one.pid:>7}{one.half_mib:>8.1f}{one.end_mib:>8.1f}{one.most_mib:>8.1f}"
                f"{one.mib:>8.2f}     {one.most_files:>7}{one.files:>7}{one.threads:>9}"
            )
        return lines


def soak(settings: Settings) -> Report:
    """Run it."""
    with tempfile.TemporaryDirectory(prefix="taskflow-soak-") as name:
        directory = Path(name)
        server = start_server(directory)
        try:
            with _worker(server, settings) as worker, redis.Redis(port=server.port) as raw:
                return Soak(settings, server, worker, raw).run()
        finally:
            module.app.close()
            server.stop()


@contextmanager
def _worker(server: Server, settings: Settings) -> Iterator[WorkerProcess]:
    os.environ["TASKFLOW_BROKER"] = server.url
    module.app._client = None
    planted = {"PYTHONPATH": os.pathsep.join([str(SITE), str(ROOT)])} if settings.leak else {}
    with WorkerProcess(
        "tests.soak.app",
        broker=server.url,
        queues=dict.fromkeys(QUEUES, 1),
        concurrency=settings.concurrency,
        processes=settings.processes,
        log_level="critical",  # what fails here is meant to fail, and the client would keep a line of each
        environment=ALLOCATOR | planted,
        ready=False,
    ) as worker:
        yield worker


class Soak:
    """One run."""

    def __init__(self, settings: Settings, server: Server, worker: WorkerProcess, raw: redis.Redis) -> None:
        self._settings = settings
        self._server = server
        self._worker = worker
        self._raw = raw
        self._inspector = Inspector(Broker(SyncDriver(server.url)))
        self._ended = threading.Event()
        self._report = Report()
        self._rng = random.Random(1)
        self._batch = max(min(BATCH, settings.tasks // settings.looks), 1)

    def run(self) -> Report:
        report, settings = self._report, self._settings
        # Counters, indexes and records come with the first tasks, and stay.
        canceller = self._start(self._cancel)
        self._feed(Counter(dict.fromkeys(MIX, 2)))
        self._drain()
        self._purge()
        endless = self._endless()
        report.keys_before, report.server_mib_before = self._raw.dbsize(), self._memory()
        before = self._processed()
        report.kinds.clear()
        out = Path(settings.out) if settings.out else None
        sampler = Sampler(self._processes, out)
        cutter = self._start(self._cut)
        began = time.monotonic()
        try:
            for count in self._batches():
                self._feed(self._mixed(count))
                self._look_if_due(sampler)
            self._drain()
        finally:
            self._ended.set()
            for thread in (cutter, canceller):
                thread.join()
        report.tasks = sum(report.kinds.values())
        report.seconds = time.monotonic() - began
        report.growths = growth(sampler.samples, report.tasks)
        # A task that fails twice has two verdicts.
        report.expected = report.tasks + report.kinds["fails_twice"]
        report.processed = self._processed() - before
        self._purge()
        deadline = time.monotonic() + settings.settle_seconds
        while self._raw.dbsize() > report.keys_before and time.monotonic() < deadline:
            time.sleep(0.5)
        report.keys_after, report.server_mib_after = self._raw.dbsize(), self._memory()
        report.stayed = sorted(self._endless() - endless)
        return report

    # --- feeding -----------------------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[int]:
        left = self._settings.tasks
        while left > 0:
            yield min(left, self._batch)
            left -= self._batch

    def _mixed(self, count: int) -> Counter[str]:
        return Counter(self._rng.choices(list(MIX), list(MIX.values()), k=count))

    def _feed(self, kinds: Counter[str]) -> None:
        """Enqueue so many of each kind; wait while too many wait already."""
        for kind, count in kinds.items():
            task = module.app.tasks[f"tests.soak.app.{kind}"]
            first = self._report.kinds[kind]
            calls: list[tuple[object]] = [(first + number,) for number in range(count)]
            if kind == "big":
                calls = [("x" * self._settings.big_bytes,)] * count
            for outcome in task.map(calls).results:
                outcome.id  # noqa: B018 - an error would have none
            self._report.kinds[kind] += count
        self._wait_for(self._settings.backlog - 1, "the worker keeps up")

    def _wait_for(self, most: int, description: str) -> None:
        """Wait until no more tasks than these wait or run."""
        keys = [queue_keys(queue) for queue in QUEUES]
        names = [name for one in keys for name in (one.pending, one.active)]
        wait_until(
            lambda: sum(self._ask(name) for name in names) <= most,
            description=description,
            timeout=DRAIN_SECONDS,
        )

    def _ask(self, name: str) -> int:
        try:
            return int(self._raw.llen(name))
        except redis.ConnectionError:
            return self._settings.backlog  # cut: ask again

    # --- what happens meanwhile --------------------------------------------------------------------------------------

    def _start(self, work: object) -> threading.Thread:
        thread = threading.Thread(target=work, name=getattr(work, "__name__", "soak"))  # type: ignore[arg-type]
        thread.start()
        return thread

    def _cancel(self) -> None:
        """Cancel whatever runs in the queue of tasks that wait to be cancelled."""
        keys = queue_keys(module.CANCEL_QUEUE)
        with redis.Redis(port=self._server.port) as client:
            while not self._ended.wait(0.1):
                try:
                    for task_id in client.lrange(keys.active, 0, -1):
                        client.publish("asynq:cancel", task_id)
                except redis.ConnectionError:
                    continue

    def _cut(self) -> None:
        """Cut every connection, of workers, children, clients and waiters."""
        with redis.Redis(port=self._server.port) as client:
            while not self._ended.wait(self._settings.kill_seconds):
                for kind in ("normal", "pubsub"):
                    client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
                self._report.cuts += 1

    # --- looking -----------------------------------------------------------------------------------------------------

    def _look_if_due(self, sampler: Sampler) -> None:
        """Let everything come to rest and look at it: what runs just now would say more of the moment than of leaks."""
        done, every = sum(self._report.kinds.values()), self._settings.tasks / self._settings.looks
        if done < self._settings.tasks and done // every == (done - self._batch) // every:
            return
        self._wait_for(0, "nothing runs")
        sampler.look(done)

    def _processes(self) -> dict[int, str]:
        children = dict.fromkeys(children_of(self._worker.pid), "child")
        return {os.getpid(): "client", self._worker.pid: "worker", **children}

    def _memory(self) -> float:
        return float(self._raw.info("memory")["used_memory"]) / 2**20

    def _processed(self) -> int:
        return sum(int(self._raw.get(queue_keys(queue).processed) or 0) for queue in QUEUES)

    def _drain(self) -> None:
        def is_empty() -> bool:
            try:
                return all(
                    not (one.pending or one.active or one.scheduled or one.retry)
                    for one in (self._inspector.queue(queue) for queue in QUEUES)
                )
            except BrokerError:
                return False

        wait_until(is_empty, description="every task has its verdict", timeout=DRAIN_SECONDS)

    def _purge(self) -> None:
        for queue in QUEUES:
            for state in (State.ARCHIVED, State.COMPLETED):
                self._inspector.delete_all(queue, state)

    def _endless(self) -> set[str]:
        """The keys that do not end by themselves."""
        names = list(self._raw.scan_iter(count=1000))
        pipeline = self._raw.pipeline(transaction=False)
        for name in names:
            pipeline.ttl(name)
        return {name.decode() for name, ttl in zip(names, pipeline.execute(), strict=True) if ttl == -1}
