"""Go's Inspector reads what Python wrote, and what it does to Python's tasks and queues, Python lives with."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskflow import State, TaskFlow
from taskflow.errors import ResultMissing, TaskFailed
from tests.interop.apps.side import PythonSide, python_side
from tests.interop.golang import Peer, PeerError
from tests.servers import Server, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

DEADLINE = int(time.time()) + 7200

NEW = {
    "type": "record",
    "payload": '{"text":"ü"}',
    "headers": {},
    "max_retry": 25,
    "retried": 0,
    "last_err": "",
    "last_failed_at": None,
    "timeout_s": 1800,
    "deadline": None,
    "group": "",
    "next_process_at": None,
    "is_orphaned": False,
    "retention_s": 0,
    "completed_at": None,
    "result": "",
}
"""How Go shows a task that Python enqueued without options."""

COUNTS = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")


def counts(peer: Peer, queue: str) -> dict[str, int]:
    """The states of a queue that hold tasks, by Go's count."""
    info = peer.inspect("info", queue=queue)
    assert info["size"] == sum(info[state] for state in COUNTS)
    assert (info["memory_usage"] > 0) == (info["size"] > 0)
    return {state: info[state] for state in COUNTS if info[state]}


def recent(moment: float | None) -> bool:
    return moment is not None and abs(moment - time.time()) < 60


class TestStates:
    """Each state that Python writes."""

    def test_pending(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        task = app.get_task("record").options(queue=queue).delay(text="ü")
        (shown,) = peer.inspect("list", queue=queue, state="pending")
        assert recent(shown.pop("next_process_at"))  # Go says "now" of a pending task
        assert shown == {key: value for key, value in NEW.items() if key != "next_process_at"} | {
            "id": task.id,
            "queue": queue,
            "state": "pending",
        }
        assert counts(peer, queue) == {"pending": 1}
        assert queue in peer.inspect("queues")

    def test_pending_is_listed_oldest_first_with_its_latency(
        self, peer: Peer, app: TaskFlow, queue: str
    ) -> None:
        begun = time.time()
        outcomes = app.get_task("record").options(queue=queue).map([{"n": n} for n in range(40)])
        ids = [result.id for result in outcomes.results]
        pages = [peer.inspect("list", queue=queue, state="pending", page=page) for page in (1, 2)]
        assert [task["id"] for page in pages for task in page] == ids
        latency = peer.inspect("info", queue=queue)["latency_s"]
        assert 0 < latency <= time.time() - begun

    def test_scheduled_with_every_option(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        task = app.get_task("record").options(
            queue=queue,
            id="id-1",
            eta=datetime.fromtimestamp(DEADLINE - 3600, UTC),
            deadline=datetime.fromtimestamp(DEADLINE, UTC),
            timeout=90,
            max_retries=3,
            retention=600,
            headers={"trace": "<1>"},
            unique=60,
        )
        task.delay(text="ü")
        (shown,) = peer.inspect("list", queue=queue, state="scheduled")
        assert shown == NEW | {
            "id": "id-1",
            "queue": queue,
            "state": "scheduled",
            "next_process_at": DEADLINE - 3600,
            "deadline": DEADLINE,
            "timeout_s": 90,
            "max_retry": 3,
            "retention_s": 600,
            "headers": {"trace": "<1>"},
        }
        assert counts(peer, queue) == {"scheduled": 1}

    def test_aggregating(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        task = app.get_task("record").options(queue=queue, group="G").delay(text="ü")
        app.get_task("record").options(queue=queue, group="H").delay()
        (shown,) = peer.inspect("list", queue=queue, state="aggregating", group="G")
        assert shown == NEW | {"id": task.id, "queue": queue, "state": "aggregating", "group": "G"}
        groups = peer.inspect("groups", queue=queue)
        assert sorted(group["group"] for group in groups) == ["G", "H"]
        assert counts(peer, queue) == {"aggregating": 2}

    @pytest.mark.parametrize("name", ["slow", "slow_async"])
    def test_active_and_cancelled(self, peer: Peer, python: PythonSide, name: str) -> None:
        queue = python.queue()
        task = python.task(name).options(queue=queue, retention=60).delay(seconds=120)
        python.runs.wait_for(task.id)
        (shown,) = peer.inspect("list", queue=queue, state="active")
        assert (shown["id"], shown["state"], shown["is_orphaned"]) == (task.id, "active", False)
        assert counts(peer, queue) == {"active": 1}
        peer.inspect("cancel", id=task.id)
        with pytest.raises(TaskFailed) as failure:
            task.get(20)
        assert failure.value.text == "cancelled"
        (shown,) = peer.inspect("list", queue=queue, state="archived")
        assert (shown["id"], shown["last_err"], shown["retried"]) == (task.id, "cancelled", 0)

    def test_retry(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("fail").options(queue=queue, max_retries=3).delay(text="böom")
        python.wait_for_state(State.RETRY, task.id, queue)
        (shown,) = peer.inspect("list", queue=queue, state="retry")
        assert recent(shown.pop("last_failed_at"))
        assert 5 < shown.pop("next_process_at") - time.time() < 46  # Asynq's formula: 15 to 44 s
        assert shown["state"] == "retry"
        assert (shown["last_err"], shown["retried"], shown["max_retry"]) == ("böom", 1, 3)
        assert counts(peer, queue) == {"retry": 1}
        info = peer.inspect("info", queue=queue)
        assert (info["processed"], info["failed"]) == (1, 1)

    def test_archived(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("fail").options(queue=queue, max_retries=0).delay(text="boom")
        python.wait_for_state(State.ARCHIVED, task.id, queue)
        (shown,) = peer.inspect("list", queue=queue, state="archived")
        assert recent(shown["last_failed_at"])
        assert (shown["id"], shown["last_err"], shown["retried"]) == (task.id, "boom", 0)
        assert counts(peer, queue) == {"archived": 1}
        info = peer.inspect("info", queue=queue)
        assert (info["processed"], info["failed"], info["failed_total"]) == (1, 1, 1)

    def test_completed(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("record").options(queue=queue, retention=600).delay(text="ü")
        assert task.get(20) == {"text": "ü"}
        (shown,) = peer.inspect("list", queue=queue, state="completed")
        assert recent(shown.pop("completed_at"))
        assert json.loads(shown.pop("result")) == {"text": "ü"}
        expected = NEW | {"id": task.id, "queue": queue, "state": "completed", "retention_s": 600}
        assert shown == {key: value for key, value in expected.items() if key in shown}
        assert counts(peer, queue) == {"completed": 1}

    def test_counters_of_a_day(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        outcomes = python.task("record").options(queue=queue).map([{"n": n} for n in range(20)])
        failing = python.task("fail").options(queue=queue, max_retries=0).delay()
        for result in [*outcomes.results, failing]:
            python.wait_for_state(State.ARCHIVED if result is failing else None, result.id, queue)
        info = peer.inspect("info", queue=queue)
        assert (info["processed"], info["failed"]) == (21, 1)
        assert (info["processed_total"], info["failed_total"]) == (21, 1)
        history = peer.inspect("history", queue=queue, days=2)
        assert (sum(day["processed"] for day in history), sum(day["failed"] for day in history)) == (21, 1)


class TestMoves:
    """What the Inspector does to single tasks of Python's."""

    @pytest.mark.parametrize("state", ["scheduled", "aggregating"])
    def test_runs(self, peer: Peer, python: PythonSide, state: str) -> None:
        queue = python.queue()
        option: dict[str, Any] = {"delay": 3600} if state == "scheduled" else {"group": "G"}
        task = python.task("record").options(queue=queue, retention=60, **option).delay()
        assert task.state == state
        peer.inspect("run", queue=queue, id=task.id)
        assert task.get(20) == {}

    def test_runs_one_in_retry(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("fail").options(queue=queue).delay()
        python.wait_for_state(State.RETRY, task.id, queue)
        peer.inspect("run", queue=queue, id=task.id)
        assert python.runs.wait_for(task.id, times=2)["retried"] == 1
        wait_until(lambda: task.info().retried == 2, description="the second failure is written")
        assert task.state is State.RETRY

    def test_runs_one_that_python_archived(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("fail").options(queue=queue, max_retries=0).delay()
        python.wait_for_state(State.ARCHIVED, task.id, queue)
        peer.inspect("run", queue=queue, id=task.id)
        python.runs.wait_for(task.id, times=2)
        python.wait_for_state(State.ARCHIVED, task.id, queue)
        assert counts(peer, queue) == {"archived": 1}

    def test_runs_one_that_has_completed(self, peer: Peer, python: PythonSide) -> None:
        """Go allows it; the result stays what it was until the second run has one."""
        queue = python.queue()
        task = python.task("record").options(queue=queue, retention=600).delay(n=1)
        assert task.get(20) == {"n": 1}
        peer.inspect("run", queue=queue, id=task.id)
        python.runs.wait_for(task.id, times=2)
        python.wait_for_state(State.COMPLETED, task.id, queue)
        assert counts(peer, queue) == {"completed": 1}
        assert python.result(task.id, queue).get(20) == {"n": 1}

    def test_archives_and_runs_what_waits(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("record").options(queue=queue, delay=3600, retention=60).delay()
        peer.inspect("archive", queue=queue, id=task.id)
        with pytest.raises(TaskFailed, match="archived"):
            task.get(20)
        peer.inspect("run", queue=queue, id=task.id)
        assert python.result(task.id, queue).get(20) == {}

    def test_deletes_while_somebody_waits(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("record").options(queue=queue, delay=3600, retention=60, unique=60)
        first = task.delay()
        errors: list[BaseException] = []

        def wait() -> None:
            try:
                first.get(60)
            except ResultMissing as error:
                errors.append(error)

        waiter = threading.Thread(target=wait)
        waiter.start()
        peer.inspect("delete", queue=queue, id=first.id)
        waiter.join(20)
        assert [type(error) for error in errors] == [ResultMissing]
        task.delay()  # its lock went with it

    def test_cannot_touch_what_runs(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("slow").options(queue=queue).delay(seconds=120)
        python.runs.wait_for(task.id)
        for op in ("run", "archive", "delete"):
            with pytest.raises(PeerError, match=r"running|active"):
                peer.inspect(op, queue=queue, id=task.id)
        with pytest.raises(PeerError, match="active tasks"):
            peer.inspect("delete_queue", queue=queue, force=True)
        assert task.state is State.ACTIVE
        peer.inspect("cancel", id=task.id)
        python.wait_for_state(State.ARCHIVED, task.id, queue)

    def test_changes_the_payload(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("record").options(queue=queue, delay=3600, retention=60).delay(n=1)
        peer.inspect("update_payload", queue=queue, id=task.id, payload='{"n":2}')
        peer.inspect("run", queue=queue, id=task.id)
        assert task.get(20) == {"n": 2}


class TestQueues:
    """What the Inspector does to whole queues of Python's."""

    def test_all_of_a_state(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task = python.task("record").options(queue=queue, delay=3600)
        for number in range(5):
            task.options(id=f"id-{number}").delay()
        assert peer.inspect("archiveall", queue=queue, state="scheduled") == 5
        assert counts(peer, queue) == {"archived": 5}
        peer.inspect("delete", queue=queue, id="id-0")
        assert peer.inspect("runall", queue=queue, state="archived") == 4
        for number in range(1, 5):
            python.runs.wait_for(f"id-{number}", queue=queue)
        # Go counts and weighs in two steps: what ends between them has no weight any more.
        wait_until(lambda: not peer.inspect("info", queue=queue)["size"], description="all have run")
        assert counts(peer, queue) == {}
        assert len(python.runs.of(queue=queue)) == 4
        task.delay()
        assert peer.inspect("deleteall", queue=queue, state="scheduled") == 1

    def test_pause_and_resume(self, peer: Peer, python: PythonSide) -> None:
        """The worker goes on with its other queues, and takes up the paused one within a moment."""
        queue, other = python.queue(), python.queue()
        peer.inspect("pause", queue=queue)
        task = python.task("record").options(queue=queue).delay()
        for number in range(3):  # each is taken after the paused queue has had its turn
            python.task("record").options(queue=other, retention=60).delay(n=number).get(20)
        python.task("record").options(queue=other, delay=1, retention=60).delay().get(20)
        assert task.state is State.PENDING
        assert peer.inspect("info", queue=queue)["paused"] is True
        peer.inspect("unpause", queue=queue)
        unpaused = time.time()
        assert python.runs.wait_for(task.id)["at"] - unpaused < 8

    def test_a_deleted_queue_comes_back_with_its_next_task(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        lost = python.task("record").options(queue=queue, delay=3600, retention=60).delay()
        peer.inspect("delete_queue", queue=queue, force=True)
        with pytest.raises(ResultMissing):
            lost.get(20)
        assert python.task("record").options(queue=queue, retention=60).delay(n=1).get(20) == {"n": 1}
        # This process has already said that the queue exists; the worker says it again with each heartbeat.
        wait_until(lambda: queue in peer.inspect("queues"), description="Go sees the queue again")


class TestServers:
    def test_a_worker_is_one_server(self, peer: Peer, valkey: Server, queue: str, tmp_path: Path) -> None:
        high, low = f"{queue}-high", f"{queue}-low"
        options: dict[str, Any] = {"strict": True, "concurrency": 3, "processes": 2}
        with python_side(valkey.url, tmp_path, queues={high: 6, low: 1}, **options) as python:
            begun = time.time()
            limited = python.task("slow").options(queue=low, timeout=90).delay(seconds=120)
            plain = python.task("slow_async").options(queue=high).delay(seconds=120)
            far = {"type": "slow", "payload": '{"seconds":120}', "deadline_unix": (1 << 63) - 1}
            peer.enqueue([{**far, "queue": high, "id": "far"}])
            server = wait_for_record(peer, python, running=3)
            assert recent(server["started"])
            assert (server["concurrency"], server["queues"]) == (6, {high: 6, low: 1})
            assert (server["strict"], server["status"]) == (True, "active")
            shown = {worker["task_id"]: worker for worker in server["active_workers"]}
            assert set(shown) == {limited.id, plain.id, "far"}
            for task, name, where, timeout in (
                (limited, "slow", low, 90),
                (plain, "slow_async", high, 1800),
            ):
                worker = shown[task.id]
                assert (worker["type"], worker["queue"]) == (name, where)
                assert json.loads(worker["payload"]) == {"seconds": 120}
                assert -2 < worker["started"] - begun < 10
                assert worker["deadline"] - worker["started"] in (timeout - 1, timeout, timeout + 1)
            for task_id, where in ((limited.id, low), (plain.id, high), ("far", high)):
                peer.inspect("cancel", id=task_id)
                python.wait_for_state(State.ARCHIVED, task_id, where)
            python.worker.terminate()
            assert record_of(peer, python) is None


def record_of(peer: Peer, python: PythonSide) -> dict[str, Any] | None:
    """The worker as Go lists it."""
    servers = {server["pid"]: server for server in peer.inspect("servers")}
    return servers.get(python.worker.pid)


def wait_for_record(peer: Peer, python: PythonSide, *, running: int) -> dict[str, Any]:
    """Wait until Go lists the worker with so many running tasks."""
    wait_until(
        lambda: len((record_of(peer, python) or {}).get("active_workers", ())) == running,
        description=f"{running} running tasks are listed",
    )
    record = record_of(peer, python)
    assert record is not None
    return record
