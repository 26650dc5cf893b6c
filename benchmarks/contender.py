"""What the harness asks of a contender."""

from __future__ import annotations

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from .processes import PROGRAMS, Process, call
from .server import Server

QUEUE = "bench"
CALLERS = 100
CALL_SECONDS = 180.0


class Unavailable(Exception):
    """The contender cannot be had on this machine; the text says why."""


class Unsupported(Exception):
    """The contender has no such thing; the text says what it lacks."""


@dataclass(frozen=True)
class Place:
    """Where a measurement happens.

    Args:
        server: the one server.
        directory: for marks and logs of this measurement.
        concurrency: of workers.
        setting: which of the contender's settings.
        results: whether results will be asked for.
    """

    server: Server
    directory: Path
    concurrency: int = 20
    setting: str = ""
    results: bool = False

    @property
    def marks(self) -> Path:
        """Where tasks of the kind `mark` write when they were enqueued and when they have started."""
        return self.directory / "marks"

    @property
    def log(self) -> Path:
        """The output of workers."""
        return self.directory / "worker.log"

    def environment(self) -> dict[str, str]:
        """How programs are told about it."""
        return {
            "BENCH_PORT": str(self.server.port),
            "BENCH_URL": self.server.url,
            "BENCH_QUEUE": QUEUE,
            "BENCH_MARKS": str(self.marks),
            "BENCH_SETTING": self.setting,
            "BENCH_CONCURRENCY": str(self.concurrency),
            "BENCH_RESULTS": "1" if self.results else "",
            "PYTHONPATH": str(PROGRAMS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
        }


class Contender(ABC):
    """Something that is measured.

    Attributes:
        name: short, as on the command line.
        label: for people.
        python: whether it is a Python library (some targets speak of "the best Python peer").
        settings: ways to run its worker that are all fair; the fastest at the drain is used for everything.
        lacks: scenarios that it cannot do, and why; an empty text is not worth a line in the report.
        waiting: a command that counts what waits in the queue.
        held: commands that count what workers have and have not yet acknowledged.
        note: how it is set up, for the report.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    python: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("",)
    lacks: ClassVar[Mapping[str, str]] = {}
    waiting: ClassVar[tuple[Any, ...]]
    held: ClassVar[tuple[tuple[Any, ...], ...]] = ()
    note: ClassVar[str] = ""

    version = ""

    @abstractmethod
    def prepare(self) -> None:
        """Install or build what it needs, and set `version`.

        Raises:
            Unavailable: that cannot be done here.
        """

    @abstractmethod
    def enqueue(self, place: Place, how: str, count: int, kind: str = "noop") -> float:
        """Enqueue `count` tasks and return the seconds that it took, without connecting.

        Args:
            place: where.
            how: `single` (one caller, one by one), `bulk`, `threads` or `asyncio` (100 callers at once), or `preload` (as it
                likes).
            count: how many.
            kind: of task: `noop`, `anoop` (a coroutine), `sleep` and `cpu` (1 ms each).

        Raises:
            Unsupported: it cannot do that.
        """

    @abstractmethod
    def worker(self, place: Place, count: int = 0, processes: int = 1) -> list[Process]:
        """The processes of a worker, to be started. `count`: the tasks that it will find, for one that needs to know."""

    @abstractmethod
    def pings(self, place: Place, count: int, interval: float) -> None:
        """Enqueue a task of the kind `mark` every `interval` seconds; its argument is `time.time_ns()`."""

    @abstractmethod
    def round_trips(self, place: Place, count: int) -> list[float]:
        """Enqueue a no-op and wait for its result, so many times: the seconds of each."""

    def check(self, what: str) -> None:
        """Raise Unsupported if it lacks this."""
        if what in self.lacks:
            raise Unsupported(self.lacks[what])


class Program(Contender):
    """A contender whose client is `programs/<program>.py`, run by `programs/side.py` on an interpreter of its own."""

    program: ClassVar[str]
    interpreter: str

    def enqueue(self, place: Place, how: str, count: int, kind: str = "noop") -> float:
        """See `Contender.enqueue`."""
        self.check(how)
        return float(self._client(place, how, count, kind)["seconds"])

    def pings(self, place: Place, count: int, interval: float) -> None:
        """See `Contender.pings`."""
        self._client(place, "pings", count, interval)

    def round_trips(self, place: Place, count: int) -> list[float]:
        """See `Contender.round_trips`."""
        return [float(value) for value in self._client(place, "round_trips", count)["seconds"]]

    def worker(self, place: Place, count: int = 0, processes: int = 1) -> list[Process]:
        """See `Contender.worker`."""
        command = self.worker_command(place)
        return [Process(command, self.environment(place), place.log) for _ in range(processes)]

    @abstractmethod
    def worker_command(self, place: Place) -> Sequence[str]:
        """The command of one worker process."""

    def environment(self, place: Place) -> dict[str, str]:
        """What its programs see besides our own environment."""
        seen = place.environment()
        if self.interpreter == sys.executable:
            # Its library is this very tree, also where another one is installed.
            seen["PYTHONPATH"] += os.pathsep + str(PROGRAMS.parents[1])
        return seen

    def client_command(self) -> list[str]:
        """How its client is started; the action follows."""
        return [self.interpreter, str(PROGRAMS / "side.py"), self.program]

    def _client(self, place: Place, action: str, *arguments: object) -> dict[str, Any]:
        command = [*self.client_command(), action, *(str(argument) for argument in arguments)]
        lines = call(command, self.environment(place), CALL_SECONDS).strip().splitlines()
        answer: dict[str, Any] = json.loads(lines[-1])
        if "lacks" in answer:
            raise Unsupported(str(answer["lacks"]))
        return answer
