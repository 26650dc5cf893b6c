"""`taskflow demo`: the tutorial on a six-node cluster of its own, and a node that dies under load."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .. import embedded
from ..broker.sync import Broker
from ..connection.sync import SyncDriver
from ..errors import EmbeddedServerError, TaskFlowError
from ..inspector import ClusterQueue, Inspector
from ..tasks.result import AsyncResult
from .queue_table import print_cluster

T = TypeVar("T")

QUEUES = ("images", "webhooks", "notifications")
UNDER_FIRE = 300
RESULT_SECONDS = 40.0
WORKER_SECONDS = 15.0


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the cluster running, and say how to reach it.")
def demo(keep: bool) -> None:
    """Watch a cluster lose a node, and no task.

    Starts six nodes on free ports and a worker, runs the tutorial's three tasks, kills the master of one queue while 300
    more are enqueued and run, and counts. Takes about half a minute and cleans up after itself.
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    directory = Path(tempfile.mkdtemp(prefix="taskflow-demo-"))
    config = embedded.parse_url(f"embedded://{directory}?nodes=6")
    try:
        lost = Demo(config).run()
        if keep:
            click.echo(
                f"\nThe cluster still runs. Look at it:  taskflow queue ls --cluster -b '{config_url(directory)}'"
            )
            click.echo(f"Stop it:  taskflow server stop --dir {directory}")
    finally:
        if not keep:
            with _uninterrupted():
                embedded.stop(config)
                shutil.rmtree(directory, ignore_errors=True)
    if lost:
        sys.exit(1)


def config_url(directory: Path) -> str:
    """The URL of the demo's cluster, without a password."""
    return f"embedded://{directory}?nodes=6"


@dataclass
class Tally:
    """What was enqueued under fire, and what became of it."""

    handles: list[AsyncResult[str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    run: int = 0
    longest_seconds: float = 0.0


class Demo:
    """The demo, step by step."""

    def __init__(self, config: embedded.EmbeddedConfig) -> None:
        self._config = config
        self._console = Console()
        self._started_at = time.monotonic()

    def run(self) -> int:
        """Do everything; how many tasks were lost."""
        self._say("Starting six Valkey nodes on loopback: three masters, three replicas ...")
        url = embedded.ensure(self._config)
        self._say(
            f"The cluster is up: ports {', '.join(str(node.port) for node in embedded.status(self._config).nodes)}"
        )
        os.environ["TASKFLOW_BROKER"] = url
        broker = Broker(SyncDriver(url))
        with self._worker():
            first = self._three_tasks()
            click.echo()
            print_cluster(Inspector(broker).cluster_queues(QUEUES))
            click.echo()
            tally = self._under_fire(Inspector(broker))
        broker.close()
        return self._count(first, tally)

    # --- the tutorial ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _worker(self) -> Iterator[None]:
        self._say(
            "Starting a worker: taskflow worker -A taskflow.cli.demo_tasks -Q images=1,webhooks=1,notifications=1 -c 20"
        )
        queues = ",".join(f"{queue}=1" for queue in QUEUES)
        command = [
            sys.executable,
            "-m",
            "taskflow",
            "worker",
            "-A",
            "taskflow.cli.demo_tasks",
            "-Q",
            queues,
            "-c",
            "20",
        ]
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True
        )
        log = _Log(process)
        try:
            log.wait_for("tasks", WORKER_SECONDS)
            self._log = log
            yield
        finally:
            with _uninterrupted():
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                log.join()

    def _three_tasks(self) -> list[AsyncResult[str]]:
        from .demo_tasks import email, resize, sync

        handles = [
            self._enqueued("notifications:email", '{"to":123,"from":456}', email.delay(to=123, from_=456)),
            self._enqueued("webhooks:sync", '{"data":123}', sync.delay(data=123)),
            self._enqueued(
                "images:resize", '{"src":"some/path/to/image"}', resize.delay(src="some/path/to/image")
            ),
        ]
        for handle in handles:
            self._say(f"  result of {handle.id[:8]} ({handle.queue}): {handle.get(RESULT_SECONDS)}")
        for line in self._log.matching("succeeded"):
            self._say(f"  worker's log: {line.split(': ', 1)[-1]}")
        return handles

    def _enqueued(self, name: str, payload: str, handle: AsyncResult[str]) -> AsyncResult[str]:
        self._say(f"Enqueued {name} {payload} as {handle.id[:8]} to queue {handle.queue}")
        return handle

    # --- under fire ------------------------------------------------------------------------------------------------

    def _under_fire(self, inspector: Inspector) -> Tally:
        (placed,) = inspector.cluster_queues(["images"])
        master = placed.nodes[0]
        victim = next(node for node in embedded.status(self._config).nodes if node.port == master.port)
        if victim.pid is None:
            raise EmbeddedServerError(f"the node on port {master.port} has ended by itself")
        tally = Tally()
        with _progress(self._console, 2 * UNDER_FIRE) as advance:
            # Daemons, or somebody who interrupts the demo waits until each of them has given up the cluster that is gone.
            producers = [
                threading.Thread(
                    target=_produce, args=(queue, UNDER_FIRE // len(QUEUES), tally, advance), daemon=True
                )
                for queue in QUEUES
            ]
            for producer in producers:
                producer.start()
            _until(lambda: len(tally.handles) >= UNDER_FIRE // 6, RESULT_SECONDS)
            os.kill(victim.pid, signal.SIGKILL)
            killed_at = time.monotonic()
            self._say(
                f"Killed the master of images, 127.0.0.1:{master.port}, with kill -9; tasks keep coming"
            )
            watcher = threading.Thread(
                target=self._watch_promotion, args=(inspector, master.port, killed_at), daemon=True
            )
            watcher.start()
            for producer in producers:
                producer.join()
            self._say(
                f"All {UNDER_FIRE} are enqueued; the longest .delay() took {tally.longest_seconds:.1f} s"
            )
            self._collect(tally, advance)
            watcher.join()
        return tally

    def _watch_promotion(self, inspector: Inspector, dead_port: int, killed_at: float) -> None:
        def promoted() -> ClusterQueue | None:
            with contextlib.suppress(TaskFlowError):
                (now,) = inspector.cluster_queues(["images"])
                if now.nodes and now.nodes[0].role == "master" and now.nodes[0].port != dead_port:
                    return now
            return None

        now = _until(promoted, RESULT_SECONDS)
        if now is not None:
            self._say(
                f"The replica 127.0.0.1:{now.nodes[0].port} is master of images now, "
                f"{time.monotonic() - killed_at:.1f} s after the kill"
            )

    def _collect(self, tally: Tally, advance: Callable[[], None]) -> None:
        deadline = time.monotonic() + RESULT_SECONDS
        for handle in tally.handles:
            try:
                handle.get(max(deadline - time.monotonic(), 0.1))
            except TaskFlowError as error:
                tally.errors.append(f"task {handle.id} of queue {handle.queue}: {error}")
            else:
                tally.run += 1
                advance()

    def _count(self, first: list[AsyncResult[str]], tally: Tally) -> int:
        enqueued = len(first) + len(tally.handles)
        run = len(first) + tally.run
        lost = enqueued - run
        for error in tally.errors[:5]:
            click.echo(f"  {error}", err=True)
        click.echo()
        print_seconds = time.monotonic() - self._started_at
        click.secho(f"enqueued {enqueued}   run {run}   lost {lost}   ({print_seconds:.0f} s)", bold=True)
        return lost or len(tally.errors) or int(enqueued != UNDER_FIRE + len(first))

    def _say(self, text: str) -> None:
        # By the console that draws the bar, so that a line goes above it.
        line = f"{time.monotonic() - self._started_at:5.1f} s  {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Log:
    """The worker's standard error, read by a thread."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append(line.rstrip())

    def matching(self, word: str) -> list[str]:
        """The lines with this word, so far."""
        return [line for line in self._lines if word in line]

    def wait_for(self, word: str, seconds: float) -> None:
        """Wait for a line with this word."""
        if not _until(lambda: self.matching(word) or self._process.poll() is not None, seconds) or (
            self._process.poll() is not None
        ):
            raise EmbeddedServerError("the worker did not start:\n" + "\n".join(self._lines[-20:]))

    def join(self) -> None:
        """Read to the end."""
        self._thread.join(5)
        assert self._process.stderr is not None
        self._process.stderr.close()


def _produce(queue: str, count: int, tally: Tally, advance: Callable[[], None]) -> None:
    from .demo_tasks import email, resize, sync

    calls: dict[str, Callable[[int], AsyncResult[str]]] = {
        "images": lambda number: resize.delay(src=f"image-{number}.png"),
        "webhooks": lambda number: sync.delay(data=number),
        "notifications": lambda number: email.delay(to=number, from_=456),
    }
    for number in range(count):
        began = time.monotonic()
        try:
            tally.handles.append(calls[queue](number))
        except TaskFlowError as error:
            tally.errors.append(f"queue {queue}: {error}")
        tally.longest_seconds = max(tally.longest_seconds, time.monotonic() - began)
        advance()
        # A steady trickle, so that the kill falls into the middle of it.
        time.sleep(0.02)


@contextlib.contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal; nothing in a pipe, where the lines say enough."""
    if not console.is_terminal:
        yield lambda: None
        return
    columns = (TextColumn("enqueued and run"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=total)
        yield lambda: progress.advance(bar)


def _until(predicate: Callable[[], T], seconds: float) -> T | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := predicate():
            return value
        time.sleep(0.05)
    return None


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Cleaning up is not interrupted by a second Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _as_interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
