"""A deployment removes the folder of the old release while its workers still run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import redis

import taskflow
from taskflow.broker import scripts
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.message.ids import new_id
from taskflow.message.task_message import TaskMessage
from taskflow.worker.timings import Timings
from tests.lifecycle import app as module
from tests.servers import Server, wait_until
from tests.workers import ROOT, WorkerProcess


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_worker_goes_on_when_the_folder_of_its_release_is_gone(
    own_server: Server, ledger: Any, tmp_path: Path, pool: str
) -> None:
    """Each script was read from its file when it was needed for the first time: the one that renews leases after five seconds of
    a task, the one that gives back what was lost when something was lost. With the folder gone, tasks ran twice. The same with
    the module that runs coroutines, at the first coroutine.
    """
    release = tmp_path / "release"
    shutil.copytree(
        Path(taskflow.__file__).parent, release / "taskflow", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(str(module.__file__), release / "released.py")
    options: dict[str, Any] = {
        "broker": own_server.url,
        "queues": {"q": 1},
        "directory": release,
        "pool": pool,
        "timings": Timings(lease_extension=0.5, recover=0.5, sweep=0.5, expire=0.5),
    }
    broker = Broker(SyncDriver(own_server.url))

    def send(task: str, delay: float | None = None, **arguments: Any) -> None:
        payload = json.dumps(arguments).encode()
        message = TaskMessage(type=f"released.{task}", payload=payload, id=new_id(), queue="q", timeout=60)
        broker.run(enqueue("q", [NewTask(message, delay=delay)]))

    environment = {"PYTHONPATH": f"{release}{os.pathsep}{ROOT}"}
    with WorkerProcess("released", environment=environment, **options) as worker:
        with redis.Redis(host="127.0.0.1", port=own_server.port) as client:
            # It has run for a tenth of a second, as all that no task waits for is loaded only then.
            wait_until(lambda: client.zcard("asynq:servers"), description="the worker is listed")
            shutil.rmtree(release)
            client.script_flush()
            send("work", tag="a", seconds=2.5)
            send("async_work", tag="b")
            send("nobody_knows_it")
            ledger.wait_for("start", "a")
            client.client_kill_filter(_type="normal", skipme=True)
            send("work", tag="c", delay=1)
            ledger.wait_for("end", "a", "b", "c", timeout=30)
            wait_until(lambda: client.llen("asynq:{q}:active") == 0, description="verdicts are written")
        assert worker.terminate() == 0
        wrong = [line for line in worker.log if "No such file" in line or "NotFound" in line]
        assert wrong == []
        assert ledger.count("start", "a") == 1
    broker.close()


def test_all_scripts_are_in_memory_from_the_first_use_on(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts.load("enqueue")

    def is_gone(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", is_gone)
    for name in scripts.names():
        # Anew, and past the cache: were it cleared, builders and later tests had different scripts of one name.
        assert scripts.load.__wrapped__(name).source
