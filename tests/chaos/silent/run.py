"""One run: producers of every kind and a worker go on while something happens to the hosts; then what they did is judged."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.servers import wait_until
from tests.workers import ROOT, WorkerProcess

from .app import LEDGER
from .deployments import Deployment
from .network import Network

KINDS = (("threads", True), ("asyncio", True), ("threads", False), ("asyncio", False))
"""The producers: how they call, and whether they wait for a replica."""

ENQUEUE_WITHIN = 1.0
TAKE_WITHIN = 3.0
"""Seconds from the promotion on, as issue and docs have them; a loaded machine gets `slack` on top."""

_ENOUGH = 12
"""Calls that show that a producer is on its way."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a producer, in seconds of the monotonic clock, which is one for all processes."""

    tag: str
    began: float
    ended: float
    error: str = ""


@dataclass
class Seen:
    """What producers and worker did."""

    calls: dict[str, list[Call]]
    starts: dict[str, float]
    """Of each tag, when its task started first."""
    struck: float = 0.0
    promoted: float = 0.0
    log: Sequence[str] = field(default_factory=list)


class Producer:
    """A producer in a process of its own, where the client is."""

    def __init__(self, network: Network, environment: dict[str, str], kind: str, durable: bool) -> None:
        self.name = f"{kind}-{'durable' if durable else 'plain'}"
        self.durable = durable
        self.calls: list[Call] = []
        words = [kind, *(["durable"] if durable else [])]
        self._process = subprocess.Popen(
            [*network.prefix, sys.executable, "-m", "tests.chaos.silent.app", *words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.calls.append(Call(**json.loads(line)))

    def succeeded(self, since: float = 0.0) -> int:
        """How many calls that began after a moment succeeded."""
        return sum(not call.error and call.began > since for call in list(self.calls))

    def end(self) -> None:
        """Let it finish its call, and end it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()


class Running:
    """Producers and a worker at work on a deployment; `with` starts and ends them."""

    def __init__(
        self,
        deployment: Deployment,
        directory: Path,
        kinds: Sequence[tuple[str, bool]] = KINDS,
        url: str = "",
    ) -> None:
        self.deployment = deployment
        self._kinds = kinds
        self._ledger = directory / "ledger"
        self._ledger.touch()
        self._url = url or deployment.url
        self._stack = contextlib.ExitStack()
        self.seen = Seen({}, {})

    def __enter__(self) -> Self:
        try:
            environment = {
                **os.environ,
                "TASKFLOW_BROKER": self._url,
                "TASKFLOW_SILENT_QUEUE": self.deployment.queue,
                LEDGER: str(self._ledger),
                # In another mount namespace a program begins in its root.
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            }
            network = self.deployment.network
            self.worker = self._stack.enter_context(
                WorkerProcess(
                    "tests.chaos.silent.app",
                    environment=environment,
                    concurrency=8,
                    inside=network.prefix,
                    ready=False,
                )
            )
            self.producers = []
            for kind, durable in self._kinds:
                self.producers.append(Producer(network, environment, kind, durable))
                self._stack.callback(self.producers[-1].end)
            wait_until(lambda: self.all_enqueue(0.0), description="the producers produce", timeout=40)
            wait_until(lambda: len(self.starts()) > _ENOUGH, description="the worker works", timeout=40)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def starts(self) -> dict[str, float]:
        """When each tag's task started first."""
        first: dict[str, float] = {}
        for line in self._ledger.read_text().splitlines():
            tag, at = line.split()
            first.setdefault(tag, float(at))
        return first

    def all_enqueue(self, since: float) -> bool:
        """Whether every producer has got through again and again since a moment."""
        return all(producer.succeeded(since) >= _ENOUGH for producer in self.producers)

    def go_on(self, since: float, patience: float) -> None:
        """Let them go on until all get through, or for so many seconds: the verdict is made of what they did."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.all_enqueue(since), description="all enqueue", timeout=patience)

    def finish(self, patience: float = 45) -> Seen:
        """End the producers, and let the worker run what is left."""
        for producer in self.producers:
            producer.end()
            self.seen.calls[producer.name] = producer.calls
        wanted = {
            call.tag
            for calls in self.seen.calls.values()
            for call in calls
            if not call.error and "durable" in call.tag
        }
        with contextlib.suppress(AssertionError):
            wait_until(
                lambda: wanted <= self.starts().keys(), description="everything has run", timeout=patience
            )
        self.seen.starts = self.starts()
        self.seen.log = self.worker.log
        return self.seen


@contextlib.contextmanager
def deployed(kind: type[Deployment], directory: Path, *, spare: int = 0) -> Iterator[Deployment]:
    """A deployment on a network of its own, with so many hosts more."""
    with Network(directory, kind.size + spare) as network, kind(network, directory) as deployment:
        yield deployment


def numbers(seen: Seen) -> dict[str, float]:
    """How long the promotion took, and from it on the longest call but the first, and the longest wait for a start (pure)."""
    later = [
        call for calls in seen.calls.values() for call in [c for c in calls if c.ended > seen.promoted][1:]
    ]
    all_calls = [call for calls in seen.calls.values() for call in calls]
    waits = [
        seen.starts[call.tag] - max(call.ended, seen.promoted)
        for call in all_calls
        if call.began > seen.promoted and not call.error and call.tag in seen.starts
    ]
    return {
        "promotion": seen.promoted - seen.struck,
        "longest call": max((call.ended - call.began for call in later), default=0.0),
        "longest wait": max(waits, default=0.0),
    }


def judge(seen: Seen, *, slack: float = 0.0) -> list[str]:
    """What is not as it must be, in words (pure).

    From the promotion on each producer may lose the call that it is in, and from the next on all get through in time. What a
    producer has been told to be on a replica runs. (Other tasks may be lost: a master that is cut off takes them for a while.)
    """
    wrong = []
    for name, calls in seen.calls.items():
        after = [call for call in calls if call.ended > seen.promoted]
        if len(after) < _ENOUGH:
            wrong.append(f"{name}: {len(after)} calls ended after the promotion: {after[-1:]}")
        for call in after[1:]:
            seconds = call.ended - call.began
            if call.error:
                wrong.append(
                    f"{name}: {call.began - seen.promoted:.1f} s after the promotion: {call.error[:300]}"
                )
            elif seconds > ENQUEUE_WITHIN + slack:
                wrong.append(
                    f"{name}: {call.began - seen.promoted:.1f} s after the promotion a call took {seconds:.1f} s"
                )
        for call in calls:
            if "durable" in name and not call.error and call.tag not in seen.starts:
                wrong.append(
                    f"{name}: {call.tag} was enqueued {call.began - seen.struck:.1f} s after the blow, and lost"
                )
            if call.error or call.began <= seen.promoted or call.tag not in seen.starts:
                continue
            late = seen.starts[call.tag] - max(call.ended, seen.promoted)
            if late > TAKE_WITHIN + slack:
                wrong.append(f"{name}: {call.tag} was taken {late:.1f} s after it was enqueued")
    return wrong[:20]
