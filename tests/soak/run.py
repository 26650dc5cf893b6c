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
from tests.soak.samples import Growth, Sampler, children_of, growth
from tests.soak.settings import MIX, Settings
from tests.workers import WorkerProcess

QUEUES = (module.QUEUE, module.CANCEL_QUEUE)
BATCH = 500
DRAIN_SECONDS = 300.0

ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536"}
"""glibc gives back what is free: otherwise a burst of big tasks looks as if it had stayed."""


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
    refused: int = 0

    def problems(self, settings: Settings) -> list[str]:
        """What is not as it should be."""
        found = []
        for one in self.growths:
            if one.mib > settings.growth_mib:
                found.append(f"process {one.pid} grows by {one.mib:.1f} MiB in the second half")
            if one.files > 3:
                found.append(f"process {one.pid} has {one.files} more files open in the second half")
        if not self.growths:
            found.append("no process lived through the second half")
        if self.keys_after > self.keys_before:
            found.append(f"{self.keys_after - self.keys_before} keys have stayed")
        if self.processed < self.expected:
            found.append(f"{self.expected - self.processed} verdicts are missing")
        return found

    def lines(self) -> list[str]:
        """The report as text."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        lines = [
            f"{self.tasks} tasks in {self.seconds:.1f} s ({self.tasks / max(self.seconds, 0.1):.0f} a second): {kinds}",
            f"connections cut {self.cuts} times; verdicts {self.processed}, expected {self.expected}; refused {self.refused}",
            f"keys {self.keys_before} before, {self.keys_after} after; "
            f"server {self.server_mib_before:.1f} MiB before, {self.server_mib_after:.1f} after",
            f"{'process':>10}{'samples':>9}{'half':>9}{'end':>9}{'most':>9}{'slope':>9}  MiB{'files':>8}{'grown':>7}",
        ]
        for one in self.growths:
            lines.append(
                f"{one.pid:>10}{one.samples:>9}{one.first_mib:>9.1f}{one.last_mib:>9.1f}{one.most_mib:>9.1f}{one.mib:>9.2f}"
                f"     {one.most_files:>8}{one.files:>7}"
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
    with WorkerProcess(
        "tests.soak.app",
        broker=server.url,
        queues=dict.fromkeys(QUEUES, 1),
        concurrency=settings.concurrency,
        processes=settings.processes,
        log_level="error",
        environment=ALLOCATOR,
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

    def run(self) -> Report:
        report, settings = self._report, self._settings
        # Counters, indexes and records come with the first tasks, and stay.
        self._feed(Counter(dict.fromkeys(MIX, 2)), canceller := self._start(self._cancel))
        self._drain()
        self._purge()
        report.keys_before, report.server_mib_before = self._raw.dbsize(), self._memory()
        before = self._processed()
        report.kinds.clear()
        out = Path(settings.out) if settings.out else None
        sampler = Sampler(self._pids, settings.sample_seconds, out)
        sampler.start()
        cutter = self._start(self._cut)
        try:
            for count in self._batches():
                self._feed(self._mixed(count), None)
            fed = time.monotonic() - sampler.began
            self._drain()
        finally:
            self._ended.set()
            for thread in (cutter, canceller):
                thread.join()
            sampler.stop()
        report.tasks = sum(report.kinds.values())
        report.seconds = time.monotonic() - sampler.began
        report.growths = growth(sampler.samples, fed)
        # A task that fails twice has two verdicts.
        report.expected = report.tasks + report.kinds["fails_twice"]
        report.processed = self._processed() - before
        self._purge()
        wait_until(
            lambda: self._raw.dbsize() <= report.keys_before or self._settled(),
            description="keys end",
            timeout=90,
        )
        report.keys_after, report.server_mib_after = self._raw.dbsize(), self._memory()
        report.refused = sum("was refused" in line for line in self._worker.log)
        return report

    # --- feeding -----------------------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[int]:
        left = self._settings.tasks
        while left > 0:
            yield min(left, BATCH)
            left -= BATCH

    def _mixed(self, count: int) -> Counter[str]:
        return Counter(self._rng.choices(list(MIX), list(MIX.values()), k=count))

    def _feed(self, kinds: Counter[str], _: threading.Thread | None) -> None:
        """Enqueue so many of each kind; wait while too many wait already."""
        for kind, count in kinds.items():
            task = module.app.tasks[f"tests.soak.app.{kind}"]
            first = self._report.kinds[kind]
            if kind == "big":
                calls = [("x" * self._settings.big_bytes,)] * count
            else:
                calls = [(first + number,) for number in range(count)]
            for outcome in task.map(calls).results:
                outcome.id  # noqa: B018 - an error would have none
            self._report.kinds[kind] += count
        pending = [queue_keys(queue).pending for queue in QUEUES]
        wait_until(
            lambda: sum(self._ask(name) for name in pending) < self._settings.backlog,
            description="the worker keeps up",
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

    def _pids(self) -> list[int]:
        return [self._worker.pid, *children_of(self._worker.pid)]

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

    def _settled(self) -> bool:
        """Whether no key is left that will end by itself, but for those that a living worker renews."""
        names = [key.decode() for key in self._raw.scan_iter("taskflow:*")]
        return not any(":taken:" in name or ":answer:" in name for name in names)
