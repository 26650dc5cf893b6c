"""Workers of a Django project: how they are started, and their connections to a PostgreSQL that is restarted under them."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow import AsyncResult, TaskFlow
from tests.contrib.django.project import SITE, Site, site
from tests.postgres import Database, Postgres, running
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess


@pytest.fixture(scope="module")
def database(postgres: Postgres, valkey: Server) -> Database:
    """One with the project's tables."""
    made = postgres.create()
    migrated = site(valkey.url, made).manage("migrate", "--run-syncdb", "-v0")
    assert migrated.returncode == 0, migrated.stderr
    return made


@pytest.fixture
def app(valkey: Server) -> Iterator[TaskFlow]:
    """Who enqueues: by name, without any Django."""
    app = TaskFlow("caller", broker=valkey.url, retention=600)
    yield app
    app.close()


def get(handle: AsyncResult[Any]) -> Any:
    return handle.get(timeout=30)


def send(app: TaskFlow, name: str, queue: str = "default", **arguments: Any) -> AsyncResult[Any]:
    return app.send_task(name, kwargs=arguments, queue=queue, max_retries=0)


WORKERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "threads": ({"CONN_MAX_AGE": None}, {}),
    "processes": ({"CONN_MAX_AGE": None}, {"pool": "processes"}),
    "solo": ({"CONN_MAX_AGE": None}, {"pool": "solo"}),
    "closed": ({}, {}),
    "pooled": ({"OPTIONS": {"pool": {"min_size": 1, "max_size": 4}}}, {}),
}
"""By their queues: what is said of the database, and of the worker. `CONN_MAX_AGE` is None for connections that are kept open."""


def test_after_a_restart_of_the_database_the_next_task_succeeds(
    valkey: Server, app: TaskFlow, own_postgres: Postgres
) -> None:
    """Celery's workers need a retry for that. Nothing is added here, neither to functions nor to coroutines, in any pool."""
    database = own_postgres.create()
    migrated = site(valkey.url, database).manage("migrate", "--run-syncdb", "-v0")
    assert migrated.returncode == 0, migrated.stderr
    tasks = ["orders.tasks.backend", "mail.tasks.backend", "orders.tasks.backend_in_a_loop_of_its_own"]
    with contextlib.ExitStack() as stack:
        for queue, (entry, options) in WORKERS.items():
            project = site(valkey.url, database, **entry)
            stack.enter_context(project.worker(queues={queue: 1}, concurrency=1, ready=False, **options))
        before = [send(app, name, queue) for queue in WORKERS for name in tasks]
        assert all(get(handle) for handle in before)
        own_postgres.restart()
        after = [send(app, name, queue) for queue in WORKERS for name in tasks]
        assert all(get(handle) for handle in after)


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """One that a test may restart: the process of a restarted one is another."""
    with running() as server:
        yield server


def test_a_connection_is_kept_as_long_as_the_setting_says(
    valkey: Server, database: Database, app: TaskFlow
) -> None:
    """`CONN_MAX_AGE`: tasks of a thread share theirs, and so do the threads of coroutines; without it none is left."""
    with site(valkey.url, database, CONN_MAX_AGE=None).worker(concurrency=1):
        functions = {get(send(app, "orders.tasks.backend")) for _ in range(4)}
        coroutines = [get(send(app, "mail.tasks.backend")) for _ in range(4)]
        assert len(functions) == 1
        assert len({first for first, _, _ in coroutines}) == 1
        assert all(first == second != elsewhere for first, second, elsewhere in coroutines)
    with site(valkey.url, database).worker(concurrency=4):
        for name in (
            "orders.tasks.backend",
            "mail.tasks.backend",
            "orders.tasks.backend_in_a_loop_of_its_own",
        ):
            handles = [send(app, name) for _ in range(8)]
            assert all(get(handle) for handle in handles)
        wait_until(lambda: database.connections() == 0, description="no connection is left")


def test_a_slow_query_of_a_coroutine_holds_up_no_other(
    valkey: Server, database: Database, app: TaskFlow
) -> None:
    """asgiref has one thread for the synchronous parts of all coroutines, unless it is told otherwise."""
    with site(valkey.url, database).worker(concurrency=4):
        slow = send(app, "mail.tasks.sleep_in_the_database", seconds=60)
        wait_until(
            lambda: (
                database.server.ask(
                    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(60%%'"
                )
                > 1
            ),  # this question is one of them
            description="the slow query runs",
        )
        get(send(app, "mail.tasks.count"))
        assert slow.state == "active"
        database.server.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        )


def test_a_task_of_a_committed_transaction_runs_once_and_of_a_rolled_back_one_never(
    valkey: Server, database: Database
) -> None:
    """The whole way: a view's code in one process, the worker in another, the row in between."""
    project = site(valkey.url, database)
    program = """
from django.db import transaction
from orders.models import Order
from orders.tasks import price
with transaction.atomic():
    order = Order.objects.create(product="pear", quantity=7)
    task = order.ask_for_price()
try:
    with transaction.atomic():
        gone = Order.objects.create(product="pear")
        gone.ask_for_price()
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
print(order.pk, task, price.result(task).get(timeout=30))
order.refresh_from_db()
print(order.total)
"""
    with project.worker() as worker:
        first, total = project.python(program).splitlines()
        order, task, result = first.split()
        # Other tests of this project leave tasks of another name to whichever worker comes next.
        received = [line for line in worker.log if "Task orders.tasks.price" in line and "received" in line]

    assert (result, total) == ("21", "21")
    assert len(received) == 1
    assert task in received[0]
    assert order


# --- how a worker is started --------------------------------------------------------------------------------------------


class ManagePy(WorkerProcess):
    """`manage.py taskflow worker` in the place of `taskflow worker`."""

    def __init__(self, project: Site, *arguments: str, directory: Path = SITE) -> None:
        super().__init__("unused", directory=directory, environment=project.environment)
        self._command = [sys.executable, str(SITE / "manage.py"), "taskflow", *arguments]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in its folder", "from another folder"])
def test_manage_py_becomes_the_worker_which_has_no_django_in_it(
    valkey: Server, database: Database, app: TaskFlow, tmp_path: Path, elsewhere: bool
) -> None:
    """A worker's own process never has the user's code, and whoever supervises knows it by the id that it was started with."""
    project = site(valkey.url, database)
    with ManagePy(project, "worker", "-c", "2", directory=tmp_path if elsewhere else SITE) as worker:
        child, parent = get(send(app, "orders.tasks.processes"))
        command = Path(f"/proc/{worker.pid}/cmdline").read_bytes().split(b"\0")
        maps = Path(f"/proc/{worker.pid}/maps").read_text()

        assert parent == worker.pid != child
        assert b"taskflow" in command
        assert "psycopg" not in maps
        assert "psycopg" in Path(f"/proc/{child}/maps").read_text()
        assert worker.terminate() == 0


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [
        ("shopsite.settings", ["-A", "shopsite"]),
        ("", ["-A", "shopsite"]),
        ("shopsite.settings", ["-A", "orders"]),
    ],
    ids=["by the environment", "by manage.py", "by the package of an app"],
)
def test_the_command_finds_the_project_by_its_package(
    valkey: Server, database: Database, variable: str, arguments: list[str]
) -> None:
    """`taskflow -A proj` sets Django up, whoever else has not."""
    project = site(valkey.url, database)
    environment = {**os.environ, **project.environment}
    environment["DJANGO_SETTINGS_MODULE"] = variable
    if not variable:
        del environment["DJANGO_SETTINGS_MODULE"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "taskflow", *arguments, "call", "mail.texts.greet", "--arg", "name=ann"],
        cwd=SITE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_a_setting_that_cannot_be_is_said_before_anything_starts(valkey: Server, database: Database) -> None:
    """With what to write."""
    refused = site(valkey.url, database, taskflow={"BROKR": "typo"}).manage("taskflow", "worker", "--burst")

    assert refused.returncode == 1
    assert "did you mean 'BROKER'" in refused.stderr


def test_a_worker_does_not_start_where_djangos_checks_find_errors(valkey: Server, database: Database) -> None:
    """As every command of Django's that works for long; `--skip-checks` leaves them out."""
    project = site(valkey.url, database)
    line = ("taskflow", "worker", "--burst", "--settings=shopsite.doubtful")
    refused = project.manage(*line)
    started = project.manage(*line, "--skip-checks")

    assert refused.returncode == 1
    assert "nowhere.at_all" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert started.returncode == 0, started.stderr


def test_all_commands_are_there_with_the_projects_app(
    valkey: Server, database: Database, app: TaskFlow
) -> None:
    """The help, and one that knows the tasks."""
    project = site(valkey.url, database)

    assert re.search(r"worker +Run the tasks", project.manage("taskflow", "--help").stdout)
    called = project.manage("taskflow", "call", "mail.texts.greet", "--arg", "name=ann")
    assert called.returncode == 0, called.stderr
