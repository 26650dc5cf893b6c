"""taskflow.contrib.flask in a real worker: the context, Flask-SQLAlchemy's sessions, and the ways to start it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.errors import TaskFailed
from tests.conftest import Cluster
from tests.contrib.web import STRICT
from tests.servers import Server
from tests.workers import WorkerProcess

SHOP = """
import asyncio, os, threading
from flask import Flask, current_app, g, has_request_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from taskflow import shared_task
from taskflow.contrib.flask import FlaskTaskFlow

class Base(DeclarativeBase): ...

db = SQLAlchemy(model_class=Base)
taskflow = FlaskTaskFlow(queue="flask", retention=600, max_retries=0)

class Row(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)

def create_app(name="shop"):
    app = Flask(name)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///" + os.path.abspath("rows.db")
    app.config.from_prefixed_env()
    db.init_app(app)
    taskflow.init_app(app)
    return app

def leave_open(fails):
    db.session.add(Row())
    db.session.flush()  # a connection is out, with a transaction
    if fails:
        raise ValueError("after the flush")

@shared_task
def leave(fails: bool) -> None:
    leave_open(fails)

@shared_task
async def aleave(fails: bool) -> None:
    leave_open(fails)

@shared_task
def found() -> dict:
    before = {"out": db.engine.pool.checkedout(), "sessions": len(db.session.registry.registry)}
    seen = g.get("seen")
    g.seen = True
    rows = db.session.scalar(select(func.count()).select_from(Row))
    return {**before, "rows": rows, "app": current_app.name, "seen": seen, "request": has_request_context()}

present = []

@shared_task
async def meet() -> list[int]:
    present.append(id(db.session()))
    while len(present) < 2:
        await asyncio.sleep(0.005)
    return present + [db.session.scalar(select(1))]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module with a factory, and its tables."""
    folder = tmp_path_factory.mktemp("flask")
    (folder / "shop.py").write_text(SHOP)
    code = "import shop\napp = shop.create_app()\nwith app.app_context(): shop.db.create_all()\n"
    subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, **STRICT}, check=True, timeout=60
    )
    return folder


@pytest.fixture(scope="module")
def client(valkey: Server) -> Iterator[TaskFlow]:
    """Who enqueues: it has nothing of Flask."""
    app = TaskFlow("client", broker=valkey.url, queue="flask", retention=600, max_retries=0)
    yield app
    app.close()


@pytest.fixture(scope="module")
def worker(valkey: Server, folder: Path) -> Iterator[WorkerProcess]:
    """One for the tests of this module: with two slots, so that two coroutines may overlap."""
    environment = STRICT | {"FLASK_TASKFLOW__BROKER": valkey.url}
    with WorkerProcess("shop:create_app", directory=folder, environment=environment, concurrency=2) as worker:
        yield worker


def run(client: TaskFlow, name: str, **kwargs: Any) -> Any:
    return client.send(f"shop.{name}", **kwargs).get(timeout=30)


def test_a_task_has_the_applications_context_and_no_request(worker: WorkerProcess, client: TaskFlow) -> None:
    first, second = run(client, "found"), run(client, "found")

    assert first["app"] == "shop"
    assert [first["seen"], second["seen"], first["request"]] == [None, None, False]


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
@pytest.mark.parametrize("kind", ["leave", "aleave"])
def test_the_session_is_removed_after_a_task(
    worker: WorkerProcess, client: TaskFlow, kind: str, fails: bool
) -> None:
    """Without a context of its own, the second task in the thread would work in the first one's transaction, and what that had
    flushed before it failed would be committed by somebody else. On the event loop all tasks would share one session.
    """
    with pytest.raises(TaskFailed, match="after the flush") if fails else contextlib.nullcontext():
        run(client, kind, fails=fails)

    found = run(client, "found")

    assert (found["out"], found["sessions"], found["rows"]) == (0, 0, 0)


def test_coroutines_that_run_at_once_have_a_session_each(worker: WorkerProcess, client: TaskFlow) -> None:
    handles = [client.send("shop.meet") for _ in range(2)]
    met = [handle.get(timeout=30) for handle in handles]

    assert met[0] == met[1]
    assert len(set(met[0])) == 3
    assert run(client, "found")["out"] == 0


def test_it_is_so_in_processes_on_a_cluster_with_keys_and_partitions(cluster: Cluster, folder: Path) -> None:
    """What the environment says of keys and partitions is what the worker has."""
    signing, encryption = "a-signing-key-of-a-test", "an-encryption-key-of-a-test"
    environment = STRICT | {
        "FLASK_TASKFLOW__BROKER": cluster.url,
        "FLASK_TASKFLOW__SIGNING_KEYS": signing,
        "FLASK_TASKFLOW__ENCRYPTION_KEYS": encryption,
        "FLASK_TASKFLOW__QUEUES__flask__PARTITIONS": "3",
    }
    client = TaskFlow(
        "client",
        broker=cluster.url,
        queue="flask",
        retention=600,
        max_retries=0,
        signing_keys=[signing],
        encryption_keys=[encryption],
        queues={"flask": {"partitions": 3}},
    )
    options: dict[str, Any] = {"directory": folder, "environment": environment, "concurrency": 1}
    with contextlib.closing(client), WorkerProcess("shop:create_app", pool="processes", **options):
        for kind in ("leave", "aleave"):
            with pytest.raises(TaskFailed, match="after the flush"):
                run(client, kind, fails=True)
            found = run(client, "found")
            assert (found["out"], found["sessions"], found["rows"]) == (0, 0, 0)


def test_flask_taskflow_worker_runs_the_tasks_of_flasks_application(
    own_server: Server, folder: Path, tmp_path: Path
) -> None:
    """With `.flaskenv` read, as `flask run` reads it; and it is the command `taskflow worker` in the end: what the application
    has brought into memory is not in the worker's process.
    """
    home = tmp_path / "home"
    shutil.copytree(folder, home)
    (home / ".flaskenv").write_text(
        f"FLASK_APP=shop:create_app('dotted')\nFLASK_TASKFLOW__BROKER={own_server.url}\n"
    )
    client = TaskFlow("client", broker=own_server.url, queue="flask", retention=600)
    command = [sys.executable, "-m", "flask", "taskflow", "worker", "-c", "1"]
    environment = {**os.environ, **STRICT}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    try:
        assert run(client, "found")["app"] == "dotted"
        words = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
        assert words[1:-1] == ["-P", "-m", "taskflow", "-A", "shop:create_app('dotted')", "worker", "-c", "1"]
    finally:
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (home / "log").read_text()
    assert "Traceback" not in (home / "log").read_text()
