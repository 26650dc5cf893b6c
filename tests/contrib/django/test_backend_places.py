"""The same backend on a cluster with partitions, with keys, without time zones, and in eager mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import django
import pytest

from tests.conftest import Cluster
from tests.contrib.django.session import Session
from tests.contrib.django.test_backend import PROJECT, START, environment
from tests.security.keys import ENCRYPTION, SIGNING
from tests.servers import Server, start_server, wait_until
from tests.workers import WorkerProcess

if django.VERSION < (6,):
    pytest.skip("django.tasks is a part of Django 6: tox -e django60, django61", allow_module_level=True)

pytestmark = pytest.mark.xdist_group("django-tasks")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


def went_well(told: dict[str, str]) -> None:
    """A function with retries and a coroutine, each on a worker, and their results."""
    with (
        Session(PROJECT, told) as session,
        WorkerProcess("shop", directory=PROJECT, environment=told, concurrency=2),
    ):
        session.run(START)
        session.run("results = [tasks.third_time.enqueue(), tasks.aadd.enqueue(1, b=2)]")
        wait_until(
            lambda: session.run(
                "[one.refresh() for one in results]; out = all(one.is_finished for one in results)"
            ),
            description="both have ended",
            timeout=60,
        )
        assert session.run("out = [one.return_value for one in results]") == [3, 3]
        assert session.run("out = [one.attempts for one in results]") == [3, 1]
        assert session.run("out = facts(results[0])['in_order']")
        assert session.run("out = [one.task.queue_name for one in results]") == ["default", "mail"]
        assert session.run("out = asyncio.run(tasks.aadd.aget_result(results[1].id)) == results[1]")
        assert session.run("out = [results[1].args, results[1].kwargs]") == [[1], {"b": 2}]


def test_a_queue_with_partitions_is_one_for_django(cluster: Cluster, tmp_path: Path) -> None:
    """Its tasks are on several nodes, and `queue_name` is what the project calls it."""
    partitions = {"default": {"partitions": 3}, "mail": {"partitions": 3}}
    went_well(environment(cluster.url, tmp_path, QUEUES=partitions))


def test_with_keys_arguments_and_results_are_closed_on_the_way(server: Server, tmp_path: Path) -> None:
    """Whoever has the keys has the result, with what was given."""
    went_well(environment(server.url, tmp_path, SIGNING_KEYS=[SIGNING], ENCRYPTION_KEYS=[ENCRYPTION]))


def test_without_time_zones_moments_are_naive_as_djangos_are(server: Server, tmp_path: Path) -> None:
    """`USE_TZ = False`: what is compared with `timezone.now()` is of its kind, and means the same moment."""
    told = environment(server.url, tmp_path, NAME="naive") | {"USE_TZ": "0"}
    went_well(told)
    with Session(PROJECT, told) as session:
        session.run(START)
        session.run("later = timezone.now() + datetime.timedelta(hours=1)")
        session.run("result = tasks.add.using(run_after=later).enqueue(1, 2)")
        assert session.run("out = abs((result.enqueued_at - timezone.now()).total_seconds()) < 60")
        session.run("stored = get_app().inspector.task('default', result.id).next_process_at")
        assert session.run("out = abs((stored - later.astimezone()).total_seconds()) < 5")
        assert session.run("out = tasks.add.get_result(result.id).task.run_after == later")


def test_in_eager_mode_a_task_has_run_when_it_is_enqueued(tmp_path: Path) -> None:
    """As with Django's immediate backend, in tests: no server is asked. Retries are made at once."""
    told = environment("redis://127.0.0.1:1", tmp_path, EAGER=True)
    with Session(PROJECT, told) as session:
        session.run(START)
        assert session.run(
            "result = tasks.third_time.enqueue(); out = [result.return_value, result.attempts]"
        ) == [3, 3]
        assert session.run("result = asyncio.run(tasks.aadd.aenqueue(1, 2)); out = result.return_value") == 3
        assert session.run("out = tasks.aadd.get_result(result.id) == result")
        assert session.run("out = str(tasks.fails.enqueue().status)") == "FAILED"
        assert "TaskResultDoesNotExist" in session.raised("tasks.add.get_result('nobody')")
    lines = (tmp_path / "told").read_text().splitlines()
    assert [line.split()[0] for line in lines].count("finished") == 3


def test_what_taskflow_says_of_all_tasks_holds_for_djangos(tmp_path: Path) -> None:
    """`TASKFLOW = {"MAX_RETRIES": ...}` is written for every task, so Django's default of none does not overrule it."""
    told = environment("redis://127.0.0.1:1", tmp_path, EAGER=True, MAX_RETRIES=2, RETENTION=5)
    with Session(PROJECT, told) as session:
        session.run(START)
        assert session.run("result = tasks.fails.enqueue(); out = [str(result.status), result.attempts]") == [
            "FAILED",
            3,
        ]


def test_a_call_in_a_transaction_waits_for_its_commit_where_that_is_set(
    server: Server, tmp_path: Path
) -> None:
    """Django's interface says nothing of commits; what `TASKFLOW` says of all calls holds for these."""
    told = environment(server.url, tmp_path, NAME="commit", ENQUEUE_ON_COMMIT=True)
    with Session(PROJECT, told) as session:
        session.run(START)
        session.run(
            "from django.db import transaction\n"
            "later = tasks.add.using(run_after=timezone.now() + datetime.timedelta(hours=1))\n"
            "def known(result):\n"
            "    try: return str(default_task_backend.get_result(result.id).status)\n"
            "    except Exception as error: return type(error).__name__\n"
            "with transaction.atomic():\n"
            "    result = later.enqueue(1, 2)\n"
            "    before = known(result)\n"
            "try:\n"
            "    with transaction.atomic():\n"
            "        lost = later.enqueue(1, 2)\n"
            "        raise ValueError\n"
            "except ValueError: pass\n"
        )
        assert session.run("out = [before, known(result), known(lost)]") == [
            "TaskResultDoesNotExist",
            "READY",
            "TaskResultDoesNotExist",
        ]
