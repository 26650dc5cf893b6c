"""Signals: stop, stop at once, quiet, resume, reload."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import redis

from taskflow import errors
from taskflow.states import State
from tests.lifecycle.conftest import Ledger
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess


def test_terms_the_worker_while_tasks_run(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """What runs finishes, what does not within the grace is handed back, and none of it counts as a failure."""
    with worker(concurrency=2, grace=3) as process:
        quick, slow = tasks.work.delay("quick", 0.5), tasks.work.delay("slow", 60.0)
        waiting = [tasks.work.delay(f"waiting{n}") for n in range(20)]
        ledger.wait_for("start", "quick", "slow")
        assert process.terminate(20) == 0
    assert quick.state is State.COMPLETED
    assert slow.state is State.PENDING
    assert slow.info().retried == 0
    # The tasks that were cut off are next to run.
    assert raw.lindex(f"asynq:{{{queue}}}:pending", -1) == slow.id.encode()
    assert {result.state for result in waiting} <= {State.PENDING, State.COMPLETED}
    assert raw.llen(f"asynq:{{{queue}}}:active") == raw.zcard(f"asynq:{{{queue}}}:lease") == 0
    assert raw.hget(f"asynq:{{{queue}}}:t:{slow.id}", "crashes") is None
    assert raw.get(f"asynq:{{{queue}}}:failed") is None


def test_a_second_signal_hands_back_at_once(tasks: Any, worker: Any, ledger: Ledger) -> None:
    with worker(concurrency=1, grace=100) as process:
        slow = tasks.work.delay("slow", 60.0)
        ledger.wait_for("start", "slow")
        process.signal(signal.SIGTERM)
        process.wait_for_log("Stopping: running tasks have 100 s")
        process.signal(signal.SIGTERM)
        assert process.wait(25) == 0
    assert slow.state is State.PENDING


def test_quiet_takes_nothing_more_until_it_resumes(tasks: Any, worker: Any, ledger: Ledger) -> None:
    with worker(concurrency=2) as process:
        running = tasks.work.delay("running", 1.0)
        ledger.wait_for("start", "running")
        process.signal(signal.SIGTSTP)
        process.wait_for_log("no more tasks are taken")
        left = tasks.work.delay("left")
        assert running.get(25) == "running"
        with pytest.raises(errors.ResultTimeout):
            left.get(1)
        process.signal(signal.SIGCONT)
        assert left.get(25) == "left"


def test_hup_brings_new_code_and_interrupts_nothing(
    valkey: Server, queue: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taskflow import TaskFlow

    def write(answer: int) -> None:
        (project / "shop.py").write_text(
            "import pathlib, time\n"
            "from taskflow import TaskFlow\n"
            "app = TaskFlow('shop', retention=60)\n"
            "@app.task(name='answer')\n"
            "def answer(seconds: float) -> int:\n    pathlib.Path('started').touch()\n"
            f"    time.sleep(seconds)\n    return {answer}\n"
        )

    client = TaskFlow("client", broker=valkey.url, retention=60, queue=queue)

    @client.task(name="answer")
    def answer(seconds: float) -> int:
        return 0

    write(1)
    with WorkerProcess(
        "shop", directory=project, broker=valkey.url, queues={queue: 1}, concurrency=2
    ) as process:
        running = answer.delay(2.0)
        # Not only taken: what has not started goes back, and to the new code.
        wait_until((project / "started").exists, description="it runs")
        write(22)  # another length: bytecode is taken for valid by size and whole second
        process.signal(signal.SIGHUP)
        process.wait_for_log("Restarting the child processes")
        wait_until(lambda: answer.delay(0.0).get(25) == 22, description="the new code answers")
        assert running.get(25) == 1
    client.close()
