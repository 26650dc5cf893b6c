"""What an app hooks into its processes: hooks, resources, dependencies, middleware, listeners, in real children of each pool."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow import AsyncResult, TaskFlow
from taskflow.errors import TaskFailed
from taskflow.worker.timings import Timings
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

POOLS: dict[str, dict[str, Any]] = {
    "threads": {"pool": "threads", "concurrency": 2},
    "processes": {"pool": "processes", "concurrency": 2},
    "solo": {"pool": "solo"},
}


class Life:
    """What the app's parts wrote: lines of process id and words."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.path.read_text().splitlines()]

    def of(self, *words: str) -> list[list[str]]:
        return [line for line in self.lines() if line[1 : 1 + len(words)] == list(words)]

    def order(self, pid: str) -> list[str]:
        return [line[1] for line in self.lines() if line[0] == pid]

    def wait_for(self, *words: str, count: int = 1) -> None:
        wait_until(lambda: len(self.of(*words)) >= count, description=" ".join(words), timeout=30)


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    life = Life(tmp_path / "life")
    monkeypatch.setenv("TASKFLOW_TEST_LIFE", str(life.path))
    monkeypatch.setenv("TASKFLOW_TEST_FAILS", str(tmp_path / "fails"))
    return life


@pytest.fixture
def app(valkey: Server, queue: str) -> Iterator[TaskFlow]:
    """Enqueues by name: whoever imports the worker's app has its listeners."""
    app = TaskFlow("life", broker=valkey.url, queue=queue, retention=60, max_retries=0)
    yield app
    app.close()


@pytest.fixture
def send(app: TaskFlow) -> Callable[..., AsyncResult[Any]]:
    return app.send


@pytest.fixture
def worker(valkey: Server, queue: str, life: Life) -> Callable[..., WorkerProcess]:
    return lambda **options: WorkerProcess(
        "tests.lifecycle.life_app", broker=valkey.url, queues={queue: 1}, **options
    )


@pytest.mark.parametrize("pool", POOLS)
def test_everything_is_called_once_where_it_belongs_in_each_pool(
    life: Life, send: Callable[..., AsyncResult[Any]], worker: Any, pool: str
) -> None:
    """Hooks of a child in each child, those of the worker in one; the last made is closed first, on the loop of its making."""
    with worker(**POOLS[pool]) as process:
        assert send("works", number=1).get(timeout=20).startswith("1 engine-")
        assert send("aworks", number=2).get(timeout=20).startswith("2 engine-")
        life.wait_for("succeeded", count=2)
        life.wait_for("WorkerStarted")
        assert process.terminate() == 0
        log = "\n".join(process.log)
    children = {line[0] for line in life.of("child-start")}
    assert len(children) == (2 if pool == "processes" else 1)
    for pid in children:
        order = life.order(pid)
        assert order[:3] == ["at-start-open", "child-start", "child-start-async"]
        ended = [word for word in order if word.endswith(("-stop", "-stop-first", "-close"))]
        ended = [word for word in ended if word not in ("session-close", "worker-stop")]
        made = [word[:-5] for word in order if word.endswith("-open") and word != "session-open"]
        assert ended == ["child-stop-first", "child-stop", *(f"{name}-close" for name in made[::-1])]
        for name in ("works", "aworks"):
            if name in "".join(order):
                assert order.count("session-open") == order.count("session-close")
    assert [line[2] for line in life.of("child-start")] == ["True"] * len(children)
    assert all(line[2] == "True" for line in life.of("pool-close"))
    for once in ("worker-start", "worker-stop", "WorkerStarted", "WorkerStopping"):
        assert len(life.of(once)) == 1, once
    assert "The hook child_stops_first failed at @app.on_child_stop: RuntimeError" in log
    assert "all the same" not in log
    assert log.count(" worker for life ") == 1
    assert len(life.of("before")) == len(life.of("after")) == 2


def test_a_dependency_is_closed_when_a_limit_ends_a_blocking_call(
    life: Life, app: TaskFlow, worker: Any
) -> None:
    """In the main thread of a child, where the limit comes by a signal; the exception is the one that the task saw."""
    with worker(pool="processes", concurrency=1):
        handle = app.send_task("sleeps", timeout=1)
        life.wait_for("sleeping")
        with pytest.raises(TaskFailed, match="time limit of 1 s exceeded"):
            handle.get(timeout=20)
    assert [line[2] for line in life.of("session-rollback")] == ["TaskTimeout"]


def test_a_child_whose_hook_fails_does_not_start_and_the_command_says_why(
    life: Life, worker: Any, tmp_path: Path
) -> None:
    """The first of a worker: there is no child that could run anything, as where the app cannot be imported."""
    (tmp_path / "fails.child").touch()
    with worker(ready=False, concurrency=1) as process:
        process.wait_for_log("@app.on_child_start: child_starts failed: ConnectionError: child is away")
        assert process.wait() != 0
    assert len(life.of("child-start")) == 1


@pytest.mark.parametrize("where", ["child", "resource"])
def test_one_that_is_started_later_is_tried_again_after_growing_pauses(
    life: Life, send: Callable[..., AsyncResult[Any]], worker: Any, tmp_path: Path, where: str
) -> None:
    """Never a loop at full speed: the database that a hook needs is away for a while, and fifty workers would keep it down."""
    with worker(concurrency=1, timings=Timings(first_restart=0.1)) as process:
        assert send("works", number=1).get(timeout=20)
        [first] = {line[0] for line in life.of("child-start")}
        (tmp_path / f"fails.{where}").touch()
        process.signal(signal.SIGHUP)
        process.wait_for_log(f"A new child could not start: {where_words(where)}")
        process.wait_for_log("trying again in 0.4 s")
        assert send("works", number=2).get(timeout=20).endswith(first), "the old one works on"
        (tmp_path / f"fails.{where}").unlink()
        wait_until(
            lambda: {line[0] for line in life.of("child-start-async")} - {first},
            description="a new child",
            timeout=20,
        )
        assert len(life.of("worker-start")) == 1


def where_words(where: str) -> str:
    return {
        "child": "@app.on_child_start: child_starts failed: ConnectionError: child is away",
        "resource": "a resource with start=True failed: ConnectionError: resource is away",
    }[where]


def test_a_listener_hears_in_a_child_what_becomes_known_in_the_worker(
    life: Life, send: Callable[..., AsyncResult[Any]], worker: Any
) -> None:
    """A task that kills its process three times is archived by the worker process, which has no listener: it tells a child."""
    with worker(concurrency=1):
        handle = send("dies")
        life.wait_for("Poisonous", handle.id)
        life.wait_for("ChildStopped", count=3)
    [told] = life.of("Poisonous")
    assert told[0] in {line[0] for line in life.of("child-start")}
