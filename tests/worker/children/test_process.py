"""What a child is as a process: what the processes that tasks start inherit from it, and how it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskflow import TaskFlow
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

APP = '''
import atexit, logging, multiprocessing, os, signal, socket, stat, subprocess, sys, threading, time
from taskflow import TaskFlow
import queue
assert hasattr(queue, "SimpleQueue"), "the project's own queue.py came before the standard library's"

app = TaskFlow("processes", retention=600, max_retries=0)
HERE = os.environ["TASKFLOW_TEST_HERE"]

def note(name, text="once"):
    with open(os.path.join(HERE, name), "a") as file:
        file.write(f"{text}\\n")

atexit.register(note, "atexit", str(os.getpid()))
if os.environ.get("TASKFLOW_TEST_SLOW_EXIT"):
    atexit.register(time.sleep, 60)

@app.task(name="terminate")
def terminate() -> int:
    process = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.terminate()
    try:
        return process.wait(10)
    finally:
        process.kill()
        process.stdout.close()

@app.task(name="pool")
def pool() -> list[int]:
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return workers.map(abs, [-1, -2])

@app.task(name="forked")
def forked() -> list[str]:
    """The sockets that a fork has, and what it does at signals."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = []
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGTSTP):
            if signal.getsignal(number) is not signal.SIG_DFL:
                found.append(signal.Signals(number).name)
        for name in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
                if target.startswith("socket:") and target == os.environ["TASKFLOW_TEST_SOCKET"]:
                    found.append(target)
            except OSError:
                pass
        os.write(theirs, ",".join(found).encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(pid, 0)
    with open(ours) as file:
        return [one for one in file.read().split(",") if one]

def own_socket():
    """The child's socket to the worker, as the kernel names it: a unix socket that is not to a server."""
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
            with socket.socket(fileno=os.dup(int(name))) as found:
                if found.family == socket.AF_UNIX:
                    return target
        except OSError:
            continue
    return ""

os.environ["TASKFLOW_TEST_SOCKET"] = own_socket() or "none"

@app.task(name="has-socket")
def has_socket() -> bool:
    return os.environ["TASKFLOW_TEST_SOCKET"].startswith("socket:")

@app.task(name="starts")
def starts(then: str) -> None:
    process = subprocess.Popen(["sleep", "300"])
    note("started", str(process.pid))
    if then == "sleep":
        time.sleep(300)
    if then == "kill":
        os.kill(os.getpid(), signal.SIGKILL)

POLITE = """
import signal, sys, time
def end(number, frame):
    open(sys.argv[1], "a").write("told")
    sys.exit()
signal.signal(signal.SIGTERM, end if sys.argv[2] == "polite" else signal.SIG_IGN)
print(flush=True)
time.sleep(300)
"""

@app.task(name="leaves")
def leaves(how: str) -> None:
    """Returns, and what it has started goes on."""
    command = [sys.executable, "-c", POLITE, os.path.join(HERE, "told"), how]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=how == "detached"
    )
    process.stdout.readline()
    note("started", str(process.pid))

@app.task(name="prints")
def prints() -> int:
    print("printed by a task")
    note("printed")
    time.sleep(300)

@app.task(name="plain")
def plain() -> int:
    note("ran")
    return os.getpid()
'''


class Place:
    """A project's folder with the app, and a worker for it."""

    def __init__(self, directory: Path, server: Server, queue: str) -> None:
        self.directory = directory
        self.server = server
        self.queue = queue
        (directory / "jobs.py").write_text(APP)
        for name in ("queue", "types", "logging"):  # what a project may well have
            (directory / f"{name}.py").write_text("raise ImportError('this is not the standard library')\n")
        self.app = TaskFlow("client", broker=server.url, queue=queue, retention=600)
        for name in ("terminate", "pool", "forked", "has-socket", "prints", "plain"):
            self.app.task(name=name)(self._stub())

    @staticmethod
    def _stub() -> Callable[[], object]:
        def stub() -> object: ...

        return stub

    def worker(self, **options: object) -> WorkerProcess:
        environment = {"TASKFLOW_TEST_HERE": str(self.directory), **options.pop("environment", {})}  # type: ignore[dict-item]
        given = {"concurrency": 2, "queues": {self.queue: 1}, **options}
        return WorkerProcess(
            "jobs", directory=self.directory, broker=self.server.url, environment=environment, **given
        )

    def call(self, name: str) -> object:
        return self.app.tasks[name].delay().get(20)

    def lines(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_text().split() if path.exists() else []

    def wait_for(self, name: str) -> str:
        wait_until(lambda: self.lines(name), description=name)
        return self.lines(name)[0]


@pytest.fixture
def place(tmp_path: Path, valkey: Server, queue: str) -> Iterator[Place]:
    place = Place(tmp_path, valkey, queue)
    yield place
    place.app.close()
    for pid in place.lines("started"):
        if alive(int(pid)):
            os.kill(int(pid), signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_what_tasks_start_can_be_ended_and_has_nothing_of_the_childs(place: Place) -> None:
    """The child ignored SIGTERM, and so did whatever a task started: `Popen.terminate()` had no effect, leaving a
    `multiprocessing.Pool` never ended. And a fork kept the child's socket open, so that the worker did not see its end. The
    project has a `queue.py` and a `logging.py` besides, which stopped the worker.
    """
    with place.worker():
        assert place.call("terminate") == -signal.SIGTERM
        assert place.call("pool") == [1, 2]
        assert place.call("has-socket") is True
        assert place.call("forked") == []


def test_a_child_survives_what_a_service_manager_sends_to_all(place: Place) -> None:
    with place.worker():
        child = int(str(place.call("plain")))
        for number in ("INT", "TERM", "HUP", "TSTP", "USR1", "USR2", "QUIT", "TTIN", "TTOU"):
            os.kill(child, getattr(signal, f"SIG{number}"))
        assert place.call("plain") == child


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_atexit_functions_run_at_a_normal_stop(place: Place, pool: str) -> None:
    """Error trackers, traces and coverage lost their last: a child ended by `os._exit`."""
    with place.worker(pool=pool) as worker:
        child = str(place.call("plain"))
        assert worker.terminate() == 0
    assert child in place.lines("atexit")


def test_atexit_functions_run_at_the_end_of_a_burst(place: Place) -> None:
    place.app.tasks["plain"].delay()
    with place.worker(burst=True, ready=False) as worker:
        assert worker.wait() == 0
    assert place.lines("ran")
    assert place.lines("atexit")


def test_atexit_functions_run_when_children_are_replaced(place: Place) -> None:
    with place.worker() as worker:
        child = str(place.call("plain"))
        worker.signal(signal.SIGHUP)
        wait_until(lambda: child in place.lines("atexit"), description="the old child's atexit")
        assert str(place.call("plain")) != child


def test_neither_a_task_that_still_runs_nor_a_slow_atexit_function_holds_up_the_end(place: Place) -> None:
    """And what a task has printed is there, although its process was ended."""
    place.app.tasks["prints"].delay()
    with place.worker(grace=0.1, environment={"TASKFLOW_TEST_SLOW_EXIT": "1"}) as worker:
        place.wait_for("printed")
        began = time.monotonic()
        assert worker.terminate() == 0
    assert time.monotonic() - began < 15


def test_atexit_functions_run_beside_a_task_that_still_runs(place: Place) -> None:
    place.app.tasks["prints"].delay()
    with place.worker(grace=0.1) as worker:
        place.wait_for("printed")
        assert worker.terminate() == 0
    assert place.lines("atexit")


def test_what_a_task_prints_is_there_at_once(place: Place, tmp_path: Path) -> None:
    """It was held back in a buffer, and lost with a process that was killed."""
    place.app.tasks["prints"].delay()
    place.app.tasks["prints"].delay()
    with (tmp_path / "output").open("wb") as output, place.worker(grace=0.1, stdout=output):
        wait_until(lambda: "printed by a task" in (tmp_path / "output").read_text(), description="the output")


@pytest.mark.parametrize("how", ["hard limit", "crash", "worker killed"])
def test_what_a_task_has_started_ends_with_its_child(place: Place, how: str) -> None:
    """It lived on: a converter that nobody waits for, again and again, until the machine was full."""

    def starts(then: str) -> None: ...

    task = place.app.task(name="starts", max_retries=0)(starts)
    if how == "hard limit":
        task.options(timeout=1, hard_timeout=2).delay("sleep")
    else:
        task.delay("kill" if how == "crash" else "sleep")
    with place.worker(grace=0.1) as worker:
        pid = int(place.wait_for("started"))
        if how == "worker killed":
            assert alive(pid)
            worker.kill()
        wait_until(lambda: not alive(pid), description="the end of what the task has started")


@pytest.mark.parametrize("how", ["polite", "stubborn"])
def test_what_a_task_has_left_behind_ends_when_its_child_is_replaced_and_at_a_stop(
    place: Place, how: str
) -> None:
    """It ended at a crash only: each deployment added browsers and converters that nobody knew any more."""

    def leaves(how: str) -> None: ...

    task = place.app.task(name="leaves", max_retries=0)(leaves)
    with place.worker(concurrency=1) as worker:
        task.delay(how).get(20)
        task.delay("detached").get(20)
        first, detached = map(int, place.lines("started"))
        assert alive(first)
        worker.signal(signal.SIGHUP)
        wait_until(lambda: not alive(first), description="the end of what was left behind")
        assert place.lines("told") == (["told"] if how == "polite" else [])
        task.delay(how).get(20)
        second = int(place.lines("started")[2])
        assert alive(second)
        assert worker.terminate() == 0
        assert not alive(second)
        assert alive(detached)  # it has left the group, as a server would that is to outlive the task
