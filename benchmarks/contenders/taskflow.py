"""taskflow itself."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Sequence

import taskflow
from taskflow import __version__
from tests.interop.golang import GoUnavailable, PeerError, build_peer

from ..contender import QUEUE, Place, Program, Unsupported
from ..processes import Process


class Taskflow(Program):
    """The project's own environment, as it is."""

    name = "taskflow"
    label = "taskflow"
    program = "taskflow_app"
    waiting = ("LLEN", f"asynq:{{{QUEUE}}}:pending")
    held = (("LLEN", f"asynq:{{{QUEUE}}}:active"),)
    note = (
        "`-P threads -c 20`: one worker process with one child of 20 threads; two processes are two children"
    )

    def prepare(self) -> None:
        """See `Contender.prepare`."""
        self.interpreter = sys.executable
        self.version = __version__
        # As an installed package has it, and as the peers have theirs; the programs are told to write none.
        subprocess.run([self.interpreter, "-m", "compileall", "-q", *taskflow.__path__], check=True)

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        return self._run(place, 1)

    def worker(self, place: Place, count: int = 0, processes: int = 1) -> list[Process]:
        """Two processes are two children of one worker."""
        return [Process(self._run(place, processes), self.environment(place), place.log)]

    def pings_from_go(self, place: Place, count: int, interval: float) -> None:
        """As `pings`, enqueued by Go's Asynq: the moment is taken before the line is given to the Go program."""
        try:
            peer = build_peer()
        except (GoUnavailable, PeerError) as error:
            raise Unsupported(str(error)) from None
        place = dataclasses.replace(place)
        command = [str(peer), "enqueue", f"--redis={place.server.address}"]
        with Process(command, {}, place.log, stdin=True) as program:
            for _ in range(count):
                time.sleep(interval)
                payload = json.dumps({"sent": time.time_ns()})
                program.tell(json.dumps({"type": "benchmark:mark", "queue": QUEUE, "payload": payload}))
            program.check()
            time.sleep(interval)

    @staticmethod
    def _run(place: Place, processes: int) -> list[str]:
        return [
            *(sys.executable, "-m", "taskflow", "worker", "-A", "taskflow_app:app", "-b", place.server.url),
            *("-Q", QUEUE, "-c", str(place.concurrency), "--processes", str(processes), "-l", "warning"),
        ]
