"""One worker, many queues, few file descriptors."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.message.ids import new_id
from taskflow.message.task_message import TaskMessage
from tests.servers import Server
from tests.workers import WorkerProcess

QUEUES, OPEN_FILES = 400, 300


@pytest.mark.timeout(180)
def test_a_worker_serves_more_queues_than_it_can_have_connections(own_server: Server, ledger: Any) -> None:
    """With 1000 queues and 1024 descriptors 24 of 1000 tasks ran: each queue had a waiting connection, and five thousand loops
    asked at once. Connections failed, leases were lost, and the tasks of the living worker were given to others.
    """
    names = [f"q{number}" for number in range(QUEUES)]
    broker = Broker(SyncDriver(own_server.url))

    def send(tag: str) -> None:
        commands = []
        for name in names:
            payload = json.dumps({"tag": f"{tag}-{name}"}).encode()
            message = TaskMessage(
                type="tests.lifecycle.app.work", payload=payload, id=new_id(), queue=name, timeout=60
            )
            commands.append(enqueue(name, [NewTask(message)]))
        assert not [reply for reply in broker.run_many(commands, 30) if isinstance(reply, Exception)]

    def all_ended(tag: str) -> None:
        ledger.wait_for("end", *(f"{tag}-{name}" for name in names), timeout=60)

    send("at the start".replace(" ", "-"))
    with WorkerProcess(
        "tests.lifecycle.app", broker=own_server.url, queues=names, open_files=OPEN_FILES
    ) as worker:
        all_ended("at-the-start")
        # Now all are idle: most have no connection, and are asked in turn.
        send("later")
        all_ended("later")
        assert len(os.listdir(f"/proc/{worker.pid}/fd")) < OPEN_FILES
        assert worker.terminate() == 0
        assert not [line for line in worker.log if "Too many open files" in line or "stood still" in line]
        worker.wait_for_log(f"The limit of {OPEN_FILES} open files leaves room for")
    broker.close()


def test_a_worker_that_cannot_have_the_descriptors_it_needs_says_how_many_and_ends(
    own_server: Server,
) -> None:
    with WorkerProcess(
        "tests.lifecycle.app", broker=own_server.url, queues={"q": 1}, open_files=48, ready=False
    ) as worker:
        assert worker.wait(30) == 2
        worker.wait_for_log("open files, at least")
