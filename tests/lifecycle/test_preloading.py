"""`taskflow worker --preload`: children are forked from a process that has imported the app once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from taskflow import TaskFlow
from taskflow.cli.main import main
from taskflow.worker.timings import Timings
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

SOON = Timings(first_restart=0.1, longest_restart=0.2)


class Home:
    """What the app writes and reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("code", "first")

    def write(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    def pids(self, name: str) -> list[int]:
        """Who has written there, in turn."""
        path = self.folder / name
        return [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def home(tmp_path: Path, queue: str, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("TASKFLOW_TEST_PRELOAD", str(tmp_path))
    monkeypatch.setenv("TASKFLOW_TEST_QUEUE", queue)
    return Home(tmp_path)


@pytest.fixture
def send(valkey: Server, queue: str) -> Iterator[Callable[..., Any]]:
    app = TaskFlow("client", broker=valkey.url, queue=queue, retention=600)
    yield app.send
    app.close()


@pytest.fixture
def worker(valkey: Server, queue: str, home: Home) -> Callable[..., WorkerProcess]:
    def start(**options: Any) -> WorkerProcess:
        options = {"pool": "processes", "concurrency": 2, "preload": True, "timings": SOON, **options}
        return WorkerProcess("tests.lifecycle.preload_app", broker=valkey.url, queues={queue: 1}, **options)

    return start


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children(worker: WorkerProcess) -> list[int]:
    """All that the worker has, the template included."""
    return [int(pid) for pid in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def runs(pid: int) -> bool:
    """Whether it is more than a zombie."""
    path = Path(f"/proc/{pid}/stat")
    return path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"


def pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@pytest.mark.parametrize("pool", ["processes", "threads"])
def test_the_app_is_imported_once_and_its_memory_is_shared(
    send: Any, worker: Any, home: Home, pool: str
) -> None:
    options = {"concurrency": 4} if pool == "processes" else {"concurrency": 2, "processes": 4}
    with worker(pool=pool, **options) as running:
        results = [send("who", seconds=0.3) for _ in range(8)]
        seen = [result.get(20) for result in results]
        assert send("awho").get(20) in home.pids("starts")
        (template,) = home.pids("imports")
        pids = {one[0] for one in seen}
        assert len(pids) == 4
        assert template not in pids
        assert all(one[0] == one[1] == one[2] for one in seen), "each has a session and a group of its own"
        assert {parent(pid) for pid in pids} == {running.pid}
        assert sorted(home.pids("starts")) == sorted(pids), "the hook is called once in each child"
        assert len({one[4] for one in seen}) == 8
        assert len({one[5] for one in seen}) == 8
        assert all(pss(pid) < 50 for pid in pids), "each has 60 MiB of ballast, of which a fifth counts"
        assert running.terminate() == 0
    assert not any(is_there(pid) for pid in [template, *pids])


def test_without_it_each_child_imports_the_app(send: Any, worker: Any, home: Home) -> None:
    with worker(preload=False):
        pid = send("who").get(20)[0]
        assert len(home.pids("imports")) == 2
        assert pid in home.pids("imports")


def test_a_child_that_is_killed_is_replaced_without_an_import(send: Any, worker: Any, home: Home) -> None:
    with worker(concurrency=1) as running:
        pid = send("who").get(20)[0]
        slow = send("who", seconds=0.5)
        os.kill(pid, signal.SIGKILL)
        running.wait_for_log(f"Child {pid} ")
        assert "SIGKILL" in running.wait_for_log("SIGKILL")
        assert slow.get(20)[0] != pid
        assert len(home.pids("imports")) == 1
        wait_until(lambda: not is_there(pid), description="nothing is left of it")


def test_a_template_that_is_killed_is_replaced_and_children_go_on(send: Any, worker: Any, home: Home) -> None:
    with worker(concurrency=1) as running:
        pid = send("who").get(20)[0]
        (template,) = home.pids("imports")
        slow = send("who", seconds=0.5)
        os.kill(template, signal.SIGKILL)
        running.wait_for_log(f"The template process {template} has ended (signal SIGKILL)")
        assert slow.get(20)[0] == pid
        wait_until(lambda: len(home.pids("imports")) == 2, description="a new template")
        os.kill(pid, signal.SIGKILL)
        assert send("who").get(20)[0] not in [pid, *home.pids("imports")]
        assert len(home.pids("imports")) == 2


def test_nothing_is_left_of_a_worker_that_is_killed(send: Any, worker: Any, home: Home) -> None:
    with worker() as running:
        slow = [send("who", seconds=60) for _ in range(2)]
        wait_until(lambda: len(home.pids("starts")) == 2, description="two children")
        wait_until(lambda: all(one.state.value == "active" for one in slow), description="both are busy")
        everything = children(running)
        assert sorted(everything) == sorted(home.pids("starts") + home.pids("imports"))
        running.kill()
        wait_until(lambda: not any(map(is_there, everything)), description="their end")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_a_reload_has_a_new_template_with_the_new_code(
    send: Any, worker: Any, home: Home, number: signal.Signals
) -> None:
    with worker() as running:
        assert send("who").get(20)[3] == "first"
        home.write("code", "second")
        old = children(running)
        running.signal(number)
        wait_until(lambda: not any(map(is_there, old)), description="all old ones have ended")
        assert send("who").get(20)[3] == "second"
        assert len(home.pids("imports")) == 2


def test_new_code_that_cannot_be_imported_leaves_the_old_children(send: Any, worker: Any, home: Home) -> None:
    with worker(concurrency=1) as running:
        pid = send("who").get(20)[0]
        home.write("broken")
        running.signal(signal.SIGHUP)
        running.wait_for_log("A new child could not start: ")
        assert send("who").get(20)[0] == pid
        home.remove("broken")
        wait_until(lambda: not is_there(pid), description="the new code has taken over")
        assert send("who").get(20)[0] != pid


def test_an_app_that_cannot_be_imported_ends_the_command(worker: Any, home: Home) -> None:
    home.write("broken")
    with worker(ready=False) as running:
        assert running.wait() == 2
        running.wait_for_log("this import is broken")


def test_an_import_that_starts_a_thread_is_not_forked(send: Any, worker: Any, home: Home) -> None:
    """The thread would not be there in the children, and a lock that it held would be held for ever."""
    home.write("threads")
    with worker() as running:
        line = running.wait_for_log("as without --preload")
        assert "has started 1 thread (somebody's metrics)" in line
        pid = send("who").get(20)[0]
        assert pid in home.pids("imports")
        assert len(home.pids("imports")) == 3
        os.kill(pid, signal.SIGKILL)
        assert send("who").get(20)
        assert sum("as without --preload" in line for line in running.log) == 1


def test_an_import_that_opens_a_connection_is_not_forked(
    send: Any, worker: Any, home: Home, valkey: Server
) -> None:
    """Children that share one read each other's answers."""
    home.write("connection", str(valkey.port))
    with worker() as running:
        line = running.wait_for_log("as without --preload")
        assert f"has opened 1 connection (127.0.0.1:{valkey.port})" in line
        assert send("who").get(20)[0] in home.pids("imports")


def test_forking_is_tried_again_after_a_reload(send: Any, worker: Any, home: Home) -> None:
    """The thread may have gone with the new code."""
    home.write("threads")
    with worker() as running:
        running.wait_for_log("as without --preload")
        home.remove("threads")
        old = children(running)
        running.signal(signal.SIGHUP)
        wait_until(lambda: not any(map(is_there, old)), description="all old ones have ended")
        assert send("who").get(20)[0] not in home.pids("imports")


def test_tasks_of_another_pool_have_a_template_of_their_own(send: Any, worker: Any, home: Home) -> None:
    home.write("beside")
    with worker():
        assert send("beside").get(20) not in home.pids("imports")
        assert send("who").get(20)[0] not in home.pids("imports")
        assert len(home.pids("imports")) == 2


@pytest.mark.parametrize("hook", ["first", "refuses"])
def test_with_reload_new_code_has_a_new_template(worker: Any, home: Home, send: Any, hook: str) -> None:
    """Also after a start that has failed in the children and not in the import."""
    home.write("code", hook)
    folder = home.folder
    with worker(reload_dir=folder, ready=hook == "first") as running:
        if hook == "refuses":
            running.wait_for_log("Waiting for a change of the code")
            wait_until(lambda: not any(map(runs, children(running))), description="nothing waits with it")
        home.write("code", "second")
        (folder / "changed.py").write_text("")
        wait_until(lambda: len(home.pids("imports")) == 2, description="a new template")
        wait_until(lambda: send("who").get(20)[3] == "second", description="the new code")
        wait_until(lambda: all(map(runs, children(running))), description="no zombie is left")


def test_children_share_no_connection(send: Any, worker: Any) -> None:
    """Each enqueues, and waits for results, at the same time as the other; on one connection they would read each other's."""
    with worker(pool="threads", concurrency=4, processes=2):
        results = [send("enqueue", count=10) for _ in range(4)]
        assert [len(result.get(30)) for result in results] == [10] * 4


def test_recycling_costs_no_import(send: Any, worker: Any, home: Home) -> None:
    with worker(concurrency=1, max_tasks_per_child=2) as running:
        results = [send("who") for _ in range(10)]
        assert len({result.get(30)[0] for result in results}) == 5
        assert len(home.pids("imports")) == 1
        assert not [line for line in running.log if "ERROR" in line]


def test_what_tasks_leave_behind_becomes_no_zombie(send: Any, worker: Any) -> None:
    """With the children the worker becomes the parent of every other orphan below it."""
    with worker(concurrency=1) as running:
        pid = send("leave_behind").get(20)
        wait_until(lambda: not is_there(pid), description="the orphan's end")
        assert send("who").get(20)
        assert running.terminate() == 0


def test_it_is_refused_where_there_are_no_children() -> None:
    result = CliRunner().invoke(main, ["worker", "-A", "nowhere", "-P", "solo", "--preload"])
    assert result.exit_code == 2
    assert "--preload is about child processes" in str(result.exception or result.output) + result.output
