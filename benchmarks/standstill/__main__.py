"""The command: `python -m benchmarks.standstill`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from taskflow.errors import ResultTimeout, TaskFailed

from ..server import Server, free_port, running

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


@dataclass
class Scene:
    """A worker at work on a server of its own."""

    app: Any
    tasks: Any
    server: Server
    worker: subprocess.Popen[bytes]
    marks_file: Path
    log: Path
    health: str

    def marks(self, what: str, name: str = "") -> list[tuple[float, str, int]]:
        """When, which and in which process, in their order."""
        if not self.marks_file.exists():
            return []
        lines = [line.split() for line in self.marks_file.read_text().splitlines()]
        found = [(float(line[0]), line[2], int(line[3])) for line in lines if line[1] == what]
        return [one for one in found if not name or one[1] == name]

    def red(self) -> list[str]:
        """What health says is wrong; nothing while it is green."""
        try:
            with urllib.request.urlopen(self.health, timeout=5) as reply:
                reply.read()
                return []
        except urllib.error.HTTPError as error:
            return list(json.loads(error.read())["why"])
        except OSError as error:
            return [f"no answer ({type(error).__name__})"]

    def lines(self, *words: str) -> list[str]:
        """The lines of the worker's log with one of these words."""
        return [
            line
            for line in self.log.read_text(errors="replace").splitlines()
            if any(word in line for word in words)
        ]


@contextlib.contextmanager
def scene(concurrency: int = 20) -> Iterator[Scene]:
    """A server and a worker for one case."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskflow-standstill-")))
        server = stack.enter_context(running(directory))
        marks, log, port = directory / "marks", directory / "worker.log", free_port()
        os.environ.update(STANDSTILL_MARKS=str(marks), TASKFLOW_BROKER=server.url)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(FOLDER), str(ROOT)))}
        start = "import sys; from taskflow.cli.main import main; sys.exit(main())"
        words = ["worker", "-A", "app", "-c", str(concurrency), "--grace", "1", f"--health-port={port}"]
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, "-c", start, *words], cwd=directory, env=environment, stderr=output, stdout=output,
                start_new_session=True,
            )  # fmt: skip
        try:
            sys.path.insert(0, str(FOLDER))
            sys.modules.pop("app", None)
            import app as tasks

            found = Scene(tasks.app, tasks, server, worker, marks, log, f"http://127.0.0.1:{port}/healthz")
            found.tasks.steady.options(id="first").delay("first", 0).get(timeout=60)
            yield found
            tasks.app.close()
        finally:
            sys.path.remove(str(FOLDER))
            worker.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(10)


def until(holds: Callable[[], object], seconds: float) -> bool:
    """Whether it holds in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return False


def crash(count: int = 20, poison: bool = False) -> None:
    """A child is killed while it runs `count` tasks of 3 s: when do they start again?"""
    with scene(count) as found:
        names = [f"t{number}" for number in range(count - poison)]
        handles = [found.tasks.steady.delay(name, 3.0) for name in names]
        bad = found.tasks.poison.delay(1.0) if poison else None
        assert until(lambda: len(found.marks("start")) >= count + 1, 30), "they have not all started"
        if poison:
            first = found.marks("start", "poison")[0]
            assert until(lambda: len(found.marks("start")) > count + 1, 30)
            killed_at = first[0] + 1.0
        else:
            child = found.marks("start", names[0])[0][2]
            killed_at = time.time()
            os.kill(child, signal.SIGKILL)
        unfinished = [name for name in names if not [m for m in found.marks("end", name) if m[0] < killed_at]]

        def again() -> list[float]:
            return [
                found.marks("start", name)[1][0] - killed_at
                for name in unfinished
                if len(found.marks("start", name)) > 1
            ]

        until(lambda: len(again()) == len(unfinished), 60)
        waits = sorted(again())
        done = sum(handle.get(timeout=120) == name for handle, name in zip(handles, names, strict=True))
        text = f"{len(waits)} of {len(unfinished)} started again, "
        text += f"the first after {waits[0]:.2f} s, the last after {waits[-1]:.2f} s"
        text += f"; {done} of {len(names)} completed"
        if bad is not None:
            until(lambda: bad.state == "archived", 60)
            text += f"; the poison is {bad.state} after {len(found.marks('start', 'poison'))} runs"
        click.echo(f"{'crash with a poison' if poison else 'crash'}: {text}")


def case(name: str, spoil: str, *, coroutine: bool) -> None:
    """Something goes wrong in a child; then a task of the kind that it concerns is enqueued every 0.1 s."""
    with scene(4) as found:
        getattr(found.tasks, spoil).delay()
        assert until(lambda: found.marks("wrong"), 30), "nothing has gone wrong"
        (wrong_at, _, _) = found.marks("wrong")[-1]
        time.sleep(0.3)
        asked, red = 0, dict[str, float]()
        end = time.monotonic() + 40
        handles = []
        while time.monotonic() < end:
            asked += 1
            later = f"later-{asked}"
            handles.append(
                found.tasks.asteady.delay(later) if coroutine else found.tasks.steady.delay(later, 0.0)
            )
            for why in found.red():
                red.setdefault(why, time.time() - wrong_at)
            if found.marks("start", "later-1") and not found.red():
                break
            time.sleep(0.1)
        started = found.marks("start", "later-1")
        waited = f"{started[0][0] - wrong_at:.2f} s" if started else "never (40 s)"
        lost = 0
        for handle in handles:
            try:
                handle.get(timeout=30)
            except (ResultTimeout, TaskFailed):
                lost += 1
        click.echo(
            f"{name}: the first task that was enqueued afterwards started {waited} after it went wrong; "
            f"{lost} of {asked} have no result"
        )
        for why, seconds in red.items():
            click.echo(f"    red after {seconds:.1f} s: {why}")
        for line in found.lines("ERROR")[:3]:
            click.echo(f"    {line[:200]}")


CASES: dict[str, Callable[[], None]] = {
    "crash": crash,
    "poison": lambda: crash(poison=True),
    "fork": lambda: case("a fork outlives its killed parent", "fork_and_die", coroutine=False),
    "log": lambda: case("a log filter raises", "raise_in_the_log", coroutine=False),
    "exit": lambda: case("sys.exit on the event loop", "end_the_loop", coroutine=True),
    "block": lambda: case("the event loop is blocked", "block_the_loop", coroutine=True),
    "stop": lambda: case("the child is stopped", "stop_the_child", coroutine=False),
}


@click.command()
@click.argument("cases", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--rounds", default=1, show_default=True)
def main(cases: tuple[str, ...], rounds: int) -> None:
    """How soon a worker's other tasks go on when a child of it goes wrong, and what its health says meanwhile."""
    for name in cases or CASES:
        for _ in range(rounds):
            CASES[name]()


if __name__ == "__main__":
    main()
