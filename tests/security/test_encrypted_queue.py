"""With encryption keys, neither arguments nor results can be read on the server; rotation loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from taskflow import TaskFlow, errors
from taskflow.message.encryption import MAGIC
from taskflow.message.task_message import TaskMessage
from tests.leases import make_due
from tests.security.conftest import Stored
from tests.security.keys import CANARY, OLD_ENCRYPTION, OLD_SIGNING
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

Worker = Callable[..., WorkerProcess]


@pytest.mark.parametrize("app", ["encrypted", "sealed"])
def test_arguments_and_results_are_opaque_on_the_server_and_plain_at_both_ends(
    apps: Any, worker: Worker, stored: Stored, queue: str, app: str
) -> None:
    tasks = getattr(apps, app).tasks
    with worker(app):
        for name in ("echo", "aecho"):
            result = tasks[name].options(queue=queue).delay(CANARY)
            assert result.get(20) == CANARY
            task = stored.task(result.id)
            assert task[b"result"].startswith(MAGIC)
            assert not any(CANARY.encode() in value for value in task.values())
            assert getattr(apps, app).result(result.id, queue=queue).get(25) == CANARY


def test_arguments_that_do_not_fit_are_archived_and_wait_opaque(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    client = TaskFlow("client", encryption_keys=[OLD_ENCRYPTION], queue=queue, retention=60)

    @client.task(name="add")
    def add(first: str) -> int:
        return 0

    with (
        worker("encrypted"),
        pytest.raises(errors.TaskFailed, match="argument `first`: expected int, got str"),
    ):
        add.delay(CANARY).get(20)
    client.close()


def test_unique_locks_work_and_do_not_give_the_arguments_away(apps: Any, stored: Stored, queue: str) -> None:
    echo = apps.encrypted.tasks["echo"].options(queue=queue, unique=60)
    echo.delay("same")
    with pytest.raises(errors.DuplicateTask):
        echo.delay("same")
    echo.delay("other")
    apps.plain.tasks["echo"].options(queue=queue, unique=60).delay("same")  # another lock: Go's name for it
    locks = [key.decode() for key in stored.raw.keys(f"asynq:{{{queue}}}:unique:*")]
    assert len(locks) == 3


def test_the_lock_is_released_when_the_task_is_done(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    echo = apps.sealed.tasks["echo"].options(queue=queue, unique=60)
    with worker("sealed"):
        assert echo.delay("same").get(20) == "same"
        assert not stored.raw.keys(f"asynq:{{{queue}}}:unique:*")
        assert echo.delay("same").get(20) == "same"


def test_workers_and_producers_may_be_at_different_steps_of_a_rotation(
    apps: Any, worker: Worker, queue: str
) -> None:
    """Both know both keys, and each writes with another one first."""
    with worker("rotated"):
        assert apps.encrypted.tasks["echo"].options(queue=queue).delay("a") is not None
    sealed = apps.make(
        "both", signing_keys=["signing-key-of-the-tests"], encryption_keys=["encryption-key-of-the-tests"]
    )
    with worker("rotated"):
        result = sealed.tasks["echo"].options(queue=queue).delay("a")
        wait_until(lambda: str(result.state) == "completed", description="it was run")
        # The result is written with the worker's first keys, which this producer does not have yet.
        with pytest.raises(errors.ResultNotTrusted, match="signed with a key that this app does not have"):
            result.get(25)
        half = apps.make("half", signing_keys=[OLD_SIGNING], encryption_keys=["encryption-key-of-the-tests"])
        with pytest.raises(errors.ResultUnreadable, match="encrypted with a key that this app does not have"):
            half.result(result.id, queue=queue).get(25)
        half.close()
        assert apps.rotated.result(result.id, queue=queue).get(25) == "a"
    sealed.close()


def test_what_is_encrypted_waits_for_a_worker_with_the_key(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    """Nothing is lost when a key reaches the producers first."""
    result = apps.encrypted.tasks["echo"].options(queue=queue).delay("patient")
    with worker("plain") as process:
        process.wait_for_log("is encrypted, and this app has no encryption keys; put back")
        process.terminate()
    assert stored.state(result.id) in ("scheduled", "pending")
    make_due(stored.raw, queue)
    with worker("encrypted"):
        assert result.get(20) == "patient"
    other = apps.make("other", encryption_keys=["a-key-that-no-worker-has"])
    unknown = other.tasks["echo"].options(queue=queue).delay("patient")
    with worker("encrypted") as process:
        process.wait_for_log("is encrypted with a key that this app does not have; put back")
        process.terminate()
    assert stored.state(unknown.id) in ("scheduled", "pending")
    other.close()


def test_plain_tasks_of_others_are_run_and_their_results_are_encrypted(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    """Encryption hides; that only our own tasks run is what signatures are for."""
    stored.push(
        TaskMessage(
            type="echo", payload=b'{"secret":"plain"}', id="go", queue=queue, timeout=60, retention=60
        )
    )
    with worker("encrypted"):
        assert apps.encrypted.result("go", queue=queue).get(20) == "plain"
    assert stored.task("go")[b"result"].startswith(MAGIC)


def test_what_was_moved_to_another_task_is_archived(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    first = apps.encrypted.tasks["echo"].options(queue=f"{queue}-elsewhere").delay(CANARY)
    moved = Stored(stored.raw, f"{queue}-elsewhere").message(first.id)
    stored.push(replace(moved, queue=queue, id="moved"))
    with worker("encrypted"):
        task = stored.wait_for("moved", "archived")
    assert stored.message("moved").error_msg == "was changed, or moved here from elsewhere"
    assert json.loads(task[b"error"]) == {"type": "DecryptionError"}


def test_a_forged_result_is_refused(apps: Any, worker: Worker, stored: Stored, queue: str) -> None:
    echo = apps.encrypted.tasks["echo"].options(queue=queue)
    with worker("encrypted"):
        one, other = echo.delay("one"), echo.delay("other")
        wait_until(lambda: str(one.state) == str(other.state) == "completed", description="both have run")
    stored.raw.hset(stored.key(one.id), "result", stored.task(other.id)[b"result"])
    with pytest.raises(errors.ResultUnreadable, match="was changed, or moved"):
        one.get(25)
    with pytest.raises(errors.ResultUnreadable, match="no encryption keys"):
        apps.plain.result(other.id, queue=queue).get(25)


def test_the_apps_own_environment_gives_the_keys(
    valkey: Server, apps: Any, worker: Worker, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in the environment reaches the worker's children, and no line of the log."""
    monkeypatch.setenv("TASKFLOW_TEST_OPEN_KEYS", "1")
    monkeypatch.setenv("TASKFLOW_SIGNING_KEYS", f"{CANARY}-0123456789")
    monkeypatch.setenv("TASKFLOW_ENCRYPTION_KEYS", f"{CANARY}-abcdefghij")
    client = apps.make("client")
    with worker("from_environment", log_level="debug") as process:
        assert client.tasks["echo"].options(queue=queue).delay("x").get(20) == "x"
        assert client.submit.options(queue=queue)(lambda: 5).get(20) == 5
        process.terminate()
    assert not [line for line in process.log if CANARY in line]
    client.close()
