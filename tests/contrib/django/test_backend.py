"""Tasks of Django's on a real worker, beside one of taskflow's: what a project with `django.tasks` sees."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest

from taskflow.worker.timings import Timings
from tests.contrib.django.session import ROOT, Session
from tests.servers import Server, start_server, wait_until
from tests.workers import WorkerProcess

if django.VERSION < (6,):
    pytest.skip("django.tasks is a part of Django 6: tox -e django60, django61", allow_module_level=True)

pytestmark = [
    # One process of pytest-xdist: its worker and its project are for all of them.
    pytest.mark.xdist_group("django-tasks"),
]

PROJECT = Path(__file__).parent / "tasks_project"

START = """
import asyncio, datetime
from django.tasks import default_task_backend, task, task_backends, TaskResultStatus
from django.utils import timezone
from taskflow.contrib.django import get_app
from shop import tasks
def facts(result):
    result.refresh()
    return {
        "status": str(result.status), "attempts": result.attempts, "workers": result.worker_ids,
        "errors": [(one.exception_class.__name__, one.traceback) for one in result.errors],
        "value": result.return_value if result.status == TaskResultStatus.SUCCESSFUL else None,
        "started": result.started_at is not None,
        "in_order": result.finished_at is not None
            and result.enqueued_at <= result.started_at <= result.last_attempted_at <= result.finished_at,
    }
"""


def environment(url: str, folder: Path, **setting: Any) -> dict[str, str]:
    """What the project is told."""
    return {
        "TASKFLOW_SETTING": json.dumps({"BROKER": url, **setting}),
        "TOLD": str(folder / "told"),
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(ROOT)]),
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("django-tasks")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of their own: the queues have the names that the project gives them."""
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def session(server: Server, place: Path) -> Iterator[Session]:
    with Session(PROJECT, environment(server.url, place)) as session:
        session.run(START)
        yield session


@pytest.fixture(scope="module")
def worker(server: Server, place: Path) -> Iterator[WorkerProcess]:
    """Which queues there are it has from the settings."""
    told = environment(server.url, place)
    timings = Timings(heartbeat=0.5)
    with WorkerProcess("shop", directory=PROJECT, environment=told, concurrency=4, timings=timings) as worker:
        yield worker


@pytest.fixture
def ended(session: Session, worker: WorkerProcess) -> Callable[[str], dict[str, Any]]:
    """Enqueue what an expression says, and wait until the result is finished."""

    def ended(call: str, seconds: float = 60) -> dict[str, Any]:
        session.run(f"result = {call}")

        def is_finished() -> bool:
            return bool(session.run("result.refresh(); out = result.is_finished"))

        wait_until(is_finished, description=f"{call} has ended", timeout=seconds)
        found: dict[str, Any] = session.run("out = facts(result)")
        return found

    return ended


Ended = Callable[[str], dict[str, Any]]


def test_a_function_and_a_coroutine_run_and_have_results(ended: Ended, worker: WorkerProcess) -> None:
    """The same worker runs both, whoever enqueues them: the program waits for no thread in a coroutine."""
    for call in (
        "tasks.add.enqueue(1, b=2)",
        "tasks.aadd.enqueue(1, 2)",
        "asyncio.run(tasks.add.aenqueue(1, 2))",
        "asyncio.run(tasks.aadd.aenqueue(1, b=2))",
    ):
        found = ended(call)
        assert (found["status"], found["value"], found["attempts"]) == ("SUCCESSFUL", 3, 1)
        assert found["in_order"]
        assert found["errors"] == []
        assert re.fullmatch(r".+:\d+", found["workers"][0])


def test_arguments_and_values_are_json_by_djangos_rules(session: Session, ended: Ended) -> None:
    """Code that was tried with Django's own backends gets here what it got there."""
    found = ended('tasks.echo.enqueue((1, 2), b"text", deep={"a": (3,)})')

    assert found["value"] == {"args": [[1, 2], "text"], "kwargs": {"deep": {"a": [3]}}}
    assert session.run("out = [result.args, result.kwargs]") == [[[1, 2], "text"], {"deep": {"a": [3]}}]
    assert "Unsupported type: <class 'object'>" in session.raised("tasks.echo.enqueue(object())")
    refused = session.raised("from shop.models import Order; tasks.echo.enqueue([Order(pk=7)])")
    assert "a row of shop.Order does not travel; pass its pk" in refused


def test_a_task_that_fails_has_failed_at_once_unless_it_says_otherwise(ended: Ended) -> None:
    """Django's interface knows no second attempt, so somebody else's task need not bear one."""
    found = ended("tasks.fails.enqueue()")

    assert (found["status"], found["attempts"]) == ("FAILED", 1)
    ((kind, trace),) = found["errors"]
    assert kind == "KeyError"
    assert trace.endswith("KeyError: 'once is enough'\n")
    assert trace.splitlines()[1].strip().startswith(f'File "{PROJECT}')
    assert re.fullmatch(r".+:\d+:[\w-]+", found["workers"][0])


def test_a_task_with_retries_is_tried_again_and_tells_of_each_attempt(ended: Ended) -> None:
    """READY is Django's word while it waits for the next; its errors are those that there were."""
    found = ended("tasks.third_time.enqueue()")

    assert (found["status"], found["value"], found["attempts"]) == ("SUCCESSFUL", 3, 3)
    assert [kind for kind, _ in found["errors"]] == ["ConnectionError", "ConnectionError"]
    assert len(found["workers"]) == 3
    assert found["in_order"]


def test_what_is_no_json_is_a_failure_of_the_task(ended: Ended) -> None:
    """As with Django's own backend: the error is Django's, and it is the task's."""
    found = ended("tasks.odd.enqueue()")

    assert (found["status"], [kind for kind, _ in found["errors"]]) == ("FAILED", ["TypeError"])


def test_a_context_is_that_of_the_attempt(ended: Ended) -> None:
    """`takes_context` is Django's word for what `current_task()` tells as well."""
    assert ended("tasks.context.enqueue(factor=10)")["value"] == [10, True, "RUNNING"]


def test_signals_are_sent_for_each_start_and_for_the_one_end(
    ended: Ended, session: Session, place: Path
) -> None:
    """Whoever counts ends counts tasks. A receiver that raises is not the task's failure, and an asynchronous one is awaited."""
    for call, end in (("tasks.third_time.enqueue()", "SUCCESSFUL"), ("tasks.never.enqueue('x')", "FAILED")):
        assert ended(call)["status"] == end
        id = session.run("out = result.id")
        lines = [line.split() for line in (place / "told").read_text().splitlines() if id in line]
        assert lines == [
            ["started", "TaskFlowBackend", id, "RUNNING", "1", "0", "default"],
            ["started", "TaskFlowBackend", id, "RUNNING", "2", "0", "default"],
            ["started", "TaskFlowBackend", id, "RUNNING", "3", "0", "default"],
            ["finished", "TaskFlowBackend", id, end, "3", "0" if end == "SUCCESSFUL" else "1", "default"],
        ]


def test_task_enqueued_is_sent_once_the_call_is_on_the_server(session: Session) -> None:
    """A receiver that looks for the task finds it."""
    session.run(
        "from django.tasks.signals import task_enqueued\n"
        "seen = []\n"
        "def look(sender, task_result, **kwargs):\n"
        "    seen.append([sender.__name__, str(default_task_backend.get_result(task_result.id).status)])\n"
        "task_enqueued.connect(look)\n"
        "tasks.add.using(run_after=timezone.now() + datetime.timedelta(hours=1)).enqueue(1, 2)\n"
        "asyncio.run(tasks.add.using(run_after=timezone.now() + datetime.timedelta(hours=1)).aenqueue(1, 2))\n"
        "task_enqueued.disconnect(look)\n"
    )
    assert session.run("out = seen") == [["TaskFlowBackend", "READY"]] * 2


def test_a_task_waits_for_its_time_and_the_tools_show_it(session: Session, server: Server) -> None:
    """It is a task like any other: by the path of its function, in its queue."""
    session.run(
        "later = timezone.now() + datetime.timedelta(hours=2)\n"
        "result = tasks.aadd.using(run_after=later).enqueue(1, 2)"
    )
    assert session.run("out = facts(result)")["status"] == "READY"
    assert session.run("out = tasks.aadd.get_result(result.id).task.run_after == later")
    listed = subprocess.run(
        [
            sys.executable,
            "-m",
            "taskflow",
            "task",
            "ls",
            "-q",
            "mail",
            "--state",
            "scheduled",
            "-b",
            server.url,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "shop.tasks.aadd" in listed.stdout
    assert str(session.run("out = result.id")) in listed.stdout


def test_a_result_says_that_its_task_runs_and_since_when(
    session: Session, worker: WorkerProcess, place: Path
) -> None:
    """By its worker's name, as `taskflow server ls` has it. Since when the worker tells with its next heartbeat."""
    path = place / "go on"
    session.run(f"result = tasks.wait_for.enqueue({str(path)!r})")
    try:
        wait_until(
            lambda: session.run("out = facts(result)")["started"],
            description="it is told since when",
            timeout=60,
        )
        found = session.run("out = facts(result)")
        assert (found["status"], found["attempts"]) == ("RUNNING", 1)
        assert f":{worker.pid}:" in found["workers"][0]
        assert session.run("out = asyncio.run(tasks.wait_for.aget_result(result.id)) == result")
    finally:
        path.touch()
    wait_until(
        lambda: session.run("out = facts(result)")["status"] == "SUCCESSFUL",
        description="it ends",
        timeout=60,
    )


def test_a_call_may_choose_this_backend_for_a_task_of_another(ended: Ended) -> None:
    """The module declares it with a backend that runs nothing later: a worker knows it all the same."""
    assert ended("tasks.elsewhere.using(backend='patient').enqueue(4)")["value"] == 8


def test_a_queue_that_only_calls_name_is_served(ended: Ended) -> None:
    """`QUEUES` says that there is one, so it is not the trap that nobody looks into."""
    assert ended("tasks.add.using(queue_name='rare').enqueue(1, 2)")["value"] == 3


def test_a_task_of_taskflows_runs_in_the_same_worker_and_is_no_result_of_djangos(
    session: Session, worker: WorkerProcess
) -> None:
    """Who asks Django's interface for it hears that it is none."""
    assert session.run("handle = tasks.ours.delay(1)\nout = handle.get(timeout=20)") == 2
    assert "TaskResultDoesNotExist" in session.raised("default_task_backend.get_result(handle.id)")


def test_results_that_are_none_or_anothers_are_told_apart(session: Session) -> None:
    """By Django's own errors, in threads and in coroutines."""
    session.run(
        "result = tasks.add.using(run_after=timezone.now() + datetime.timedelta(hours=1)).enqueue(1, 2)"
    )
    for id in ("'nobody'", "''", "17"):
        assert "TaskResultDoesNotExist" in session.raised(f"tasks.add.get_result({id})")
        assert "TaskResultDoesNotExist" in session.raised(f"asyncio.run(tasks.add.aget_result({id}))")
    assert "TaskResultMismatch" in session.raised("tasks.aadd.get_result(result.id)")
    assert "TaskResultMismatch" in session.raised("asyncio.run(tasks.aadd.aget_result(result.id))")
    assert session.run("out = task_backends['patient'].get_result(result.id).backend") == "default"


def test_options_travel_from_the_backend_the_task_and_the_call(session: Session) -> None:
    """What is nearer to the call wins; headers add up. A lock keeps an equal call out while the first waits."""
    session.run(
        "later = timezone.now() + datetime.timedelta(hours=1)\n"
        "def stored(result): return get_app().inspector.task(result.task.queue_name, result.id).message\n"
        "here = tasks.limited.using(timeout=9, queue_name='rare', run_after=later)\n"
        "message = stored(here.enqueue(1))"
    )
    assert session.run("out = [message.timeout, message.max_retries, message.retention]") == [9, 0, 86400]
    assert session.run("out = message.headers['who']") == "me"
    assert "DuplicateTask" in session.raised("here.enqueue(1)")
    session.run("message = stored(here.using(backend='patient', queue_name='seldom').enqueue(2))")
    assert session.run("out = [message.timeout, message.max_retries]") == [9, 3]
    session.run("message = stored(tasks.add.using(backend='patient', run_after=later).enqueue(1, 2))")
    assert session.run("out = [message.timeout, message.max_retries]") == [7, 3]


def test_what_cannot_be_is_refused_where_it_is_written(session: Session) -> None:
    """Not in the worker, and with what to write instead."""
    refused = {
        "tasks.add.using(priority=5)": 'queue_name="urgent"',
        "tasks.add.using(eta=1)": "run_after",
        "tasks.add.using(wait=None)": "workers have it from the declaration",
        "tasks.add.using(time_out=3)": "did you mean 'timeout'",
        "tasks.add.using(timeout=-3)": "timeout",
        "tasks.add.using(queue_name='else')": "Queue 'else' is not valid",
        "from taskflow.contrib.django.backend import options; options(queue='mail')": "queue_name",
        "from taskflow.contrib.django.backend import options; options(max_retries=-1)(tasks.add)": "max_retries",
        "from taskflow.contrib.django.backend import options; options()(len)": "@task",
        "from taskflow.contrib.django import TaskFlowBackend; TaskFlowBackend('x', {'OPTIONS': {'retry_max': 1}})": (
            "TASKS['x'][\"OPTIONS\"] takes no 'retry_max'"
        ),
    }
    assert {
        source: said for source, wanted in refused.items() if wanted not in (said := session.raised(source))
    } == {}
    session.run("from taskflow.contrib.django.backend import options; options()(tasks.add)")


@pytest.mark.skipif(django.VERSION < (6, 1), reason="@task of Django 6.0 takes no options")
def test_options_stand_in_the_decorator(session: Session) -> None:
    """As Django 6.1 gives them to the backend's class of tasks."""
    session.run(
        "def job(): ...\n"
        "job.__module__ = 'shop.jobs'\n"
        "made = task(max_retries=4, throws=OSError, queue_name='mail')(job)\n"
        "import copy, pickle\n"
    )
    assert session.run(
        "out = [made.max_retries, made.using(timeout=3).timeout, 'max_retries=4' in repr(made)]"
    ) == [
        4,
        3,
        True,
    ]
    assert session.run("out = get_app().tasks['shop.jobs.job'].max_retries") == 4
    assert "did you mean 'max_retries'" in session.raised("task(max_retry=4)(job)")
    assert "throws" in session.raised("task(throws=3)(tasks.fails.func.__class__(job.__code__, {}, 'other'))")


def test_checks_say_what_is_wrong_with_the_settings(session: Session) -> None:
    """`manage.py check`, and so each start of a server, does."""
    session.run(
        "from taskflow.contrib.django import TaskFlowBackend\n"
        "def found(**params): return [one.id for one in TaskFlowBackend('x', params).check()]"
    )
    assert session.run("out = found()") == []
    assert session.run("out = found(QUEUES=['a{b'])") == ["taskflow.E102"]
    assert session.run("out = found(OPTIONS={'retention': 0})") == ["taskflow.W101"]
    assert (
        session.run("from django.core.checks import run_checks; out = [str(one) for one in run_checks()]")
        == []
    )


def test_a_cancelled_task_has_failed(session: Session, worker: WorkerProcess) -> None:
    """An operator's word ends it, and its result says so."""
    session.run(
        "result = tasks.add.using(run_after=timezone.now() + datetime.timedelta(hours=1)).enqueue(1, 2)\n"
        "get_app().cancel(result.id)"
    )
    found = session.run("out = facts(result)")
    assert (found["status"], found["attempts"]) == ("FAILED", 0)
    assert [kind for kind, _ in found["errors"]] == ["TaskCancelled"]
