"""What a handle says of its task, on a real server and on a cluster: Celery's names, and where it finds its task.

The worker here is the test itself, command by command.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskflow import AsyncResult, State, TaskFlow
from taskflow.broker.command import Plain, same
from taskflow.broker.commands.finish import Written, finish
from taskflow.broker.keys import queue_keys
from taskflow.errors import (
    AmbiguousTaskId,
    ConfigurationError,
    DuplicateTask,
    IllegalMove,
    ResultMissing,
    ResultNotKept,
    TaskFailed,
)
from taskflow.message.task_message import TaskMessage
from taskflow.partitions import partition_names
from taskflow.states import Verb
from taskflow.tasks import registry
from tests.taking import ended, take_one

OWNER = "host:1:test"

FACTS = ("state", "status", "ready", "successful", "failed", "result", "name", "retries", "date_done")
"""What can be asked of a handle; each has a twin."""


@pytest.fixture
def app(url: str, queue: str) -> Iterator[TaskFlow]:
    app = TaskFlow("facts", broker=url, queue=queue, retention=600, max_retries=3)

    @app.task(name="work")
    def work() -> list[int]:
        return [1]

    yield app
    app.close()


@pytest.fixture
def end(app: TaskFlow, queue: str) -> Callable[..., None]:
    """Take the task that waits, and end the attempt."""

    def end(verb: Verb, *, result: bytes = b"", **changes: Any) -> None:
        broker = app.client.broker
        taken = take_one(broker, queue, OWNER)
        message = replace(TaskMessage.decode(taken.message), **changes).encode() if changes else b""
        item = ended(taken, verb, message=message, delay=600, result=result)
        assert broker.run(finish(queue, [item], time.time())) == [Written.WRITTEN]

    return end


def asked(handle: AsyncResult[Any]) -> dict[str, Any]:
    """What the handle says, of which its twins say the same."""

    async def twins() -> dict[str, Any]:
        try:
            return {name: await getattr(handle, f"a{name}")() for name in FACTS}
        finally:
            await handle._client.aclose()

    found = {name: getattr(handle, name) for name in FACTS}
    found = {name: value() if callable(value) else value for name, value in found.items()}
    assert repr(asyncio.run(twins())) == repr(found)
    return found


class TestFacts:
    def test_of_a_task_that_waits(self, app: TaskFlow) -> None:
        handle = app.send("work")

        assert asked(handle) == {
            "state": State.PENDING,
            "status": "PENDING",
            "ready": False,
            "successful": False,
            "failed": False,
            "result": None,
            "name": "work",
            "retries": 0,
            "date_done": None,
        }
        assert handle.task_id == handle.id

    def test_of_one_that_has_succeeded(self, app: TaskFlow, end: Callable[..., None]) -> None:
        now = int(time.time())
        handle = app.get_task("work").delay()
        end(Verb.COMPLETE, result=b"[1,2]", completed_at=now)

        assert asked(handle) == {
            "state": State.COMPLETED,
            "status": "SUCCESS",
            "ready": True,
            "successful": True,
            "failed": False,
            "result": [1, 2],
            "name": "work",
            "retries": 0,
            "date_done": datetime.fromtimestamp(now, UTC),
        }
        assert handle.wait(0) == [1, 2]

    def test_of_one_that_has_failed_for_good(self, app: TaskFlow, end: Callable[..., None]) -> None:
        handle = app.send("work")
        end(Verb.ARCHIVE, error_msg="boom", last_failed_at=int(time.time()), retried=2)

        found = asked(handle)
        error = found.pop("result")
        done = found.pop("date_done")
        assert found == {
            "state": State.ARCHIVED,
            "status": "FAILURE",
            "ready": True,
            "successful": False,
            "failed": True,
            "name": "work",
            "retries": 2,
        }
        assert isinstance(error, TaskFailed)
        assert error.text == "boom"
        assert abs(datetime.now(UTC) - done) < timedelta(minutes=1)

    def test_of_one_that_will_be_tried_again(self, app: TaskFlow, end: Callable[..., None]) -> None:
        """It has not failed, and nobody need ask for its result: Celery's RETRY."""
        handle = app.send("work")
        end(Verb.RETRY, retried=1)

        found = asked(handle)

        assert (found["status"], found["ready"], found["failed"], found["result"]) == (
            "RETRY",
            False,
            False,
            None,
        )

    def test_of_one_that_is_gone(self, app: TaskFlow, end: Callable[..., None]) -> None:
        """A loop that waits for `ready()` has to end, and nobody may take "gone" for "succeeded" or for "failed"."""
        handle = app.get_task("work").options(retention=0).delay()
        end(Verb.DONE)

        assert handle.ready()
        assert (handle.state, handle.status, handle.retries, handle.date_done) == (None, None, None, None)
        for ask in (handle.successful, handle.failed):
            with pytest.raises(ResultNotKept, match="retention"):
                ask()
        nobodys = app.result("never-was")
        assert nobodys.ready()
        assert nobodys.name is None
        with pytest.raises(ResultMissing):
            nobodys.successful()


class TestForget:
    @pytest.mark.parametrize("verb", [Verb.COMPLETE, Verb.ARCHIVE])
    def test_what_is_kept_of_a_task_is_deleted(
        self, app: TaskFlow, queue: str, end: Callable[..., None], verb: Verb
    ) -> None:
        handle = app.send("work")
        end(verb, completed_at=1)
        if verb is Verb.COMPLETE:
            assert handle.get(0) is None

        handle.forget()

        assert (handle.state, app.inspector.queue(queue).size) == (None, 0)
        with pytest.raises(ResultMissing):
            handle.get(0)
        handle.forget()

    def test_a_coroutine_does_it_too(self, app: TaskFlow, end: Callable[..., None]) -> None:
        handle = app.send("work")
        end(Verb.COMPLETE, completed_at=1)

        async def forget() -> None:
            await handle.aforget()
            await app.aclose()

        asyncio.run(forget())
        assert handle.state is None

    def test_a_task_that_has_yet_to_end_is_left_alone(self, app: TaskFlow, queue: str) -> None:
        """`forget` is about results: who calls it a moment too early must not lose the task itself."""
        waiting, running = app.send_task("work", countdown=600), app.send("work")
        take_one(app.client.broker, queue, OWNER)

        with pytest.raises(IllegalMove, match="has yet to run"):
            waiting.forget()
        with pytest.raises(IllegalMove, match="is running"):
            running.forget()

        assert (waiting.state, running.state) == (State.SCHEDULED, State.ACTIVE)

    def test_a_lock_that_an_archived_task_still_holds_is_released(self, app: TaskFlow, queue: str) -> None:
        """Go leaves the lock of a task that it archives: forgotten without it, an equal task would be refused for hours."""
        task = app.get_task("work").options(unique=600)
        handle = task.delay()
        keys = queue_keys(queue)
        for words in (
            ("LREM", keys.pending, 0, handle.id),
            ("ZADD", keys.archived, time.time(), handle.id),
            ("HSET", keys.task(handle.id), "state", "archived"),
        ):
            app.client.broker.run(Plain(words, same, keys.slot))
        with pytest.raises(DuplicateTask):
            task.delay()

        handle.forget()

        assert task.delay().state is State.PENDING


class TestWhere:
    def test_a_task_is_found_in_whichever_queue_of_the_app_it_is(
        self, url: str, queue: str, end: Callable[..., None]
    ) -> None:
        other, spread = f"{queue}-other", f"{queue}-spread"
        app = TaskFlow(
            f"where-{queue}", broker=url, queue=queue, retention=600, queues={spread: {"partitions": 6}}
        )

        @app.task(name="away", queue=other)
        def away() -> None: ...

        handles = [app.send("away"), *(app.send("x", queue=spread) for _ in range(6)), app.send("y")]
        try:
            for handle in handles:
                found = app.result(handle.id)
                assert (found.queue, found.state, found.queue) == ("", State.PENDING, handle.queue)
                assert found == handle
                again = pickle.loads(pickle.dumps(app.result(handle.id)))
                assert (again.ready(), again.queue) == (False, handle.queue)
            assert {handle.queue for handle in handles} > {other, queue}
            assert {handle.queue for handle in handles} <= {other, queue, *partition_names(spread, 6)}
            with pytest.raises(
                ResultMissing, match=f"none of the queues '{queue}', '{other}', '{spread}' knows"
            ):
                app.result("never-was").get(0)
        finally:
            app.close()

    def test_an_id_that_two_queues_have_is_nobodys(self, url: str, queue: str) -> None:
        app = TaskFlow(f"where-{queue}", broker=url, queue=queue, queues={f"{queue}-other": {}})
        for name in (queue, f"{queue}-other"):
            app.send_task("work", id="twice", queue=name)
        try:
            with pytest.raises(AmbiguousTaskId, match="queue="):
                app.result("twice").ready()
            assert app.result("twice", queue=queue).ready() is False
        finally:
            app.close()

    def test_a_task_gives_handles_that_know_its_annotation(
        self, app: TaskFlow, end: Callable[..., None]
    ) -> None:
        work = app.get_task("work")
        handle = work.delay()
        end(Verb.COMPLETE, result=b"[1]", completed_at=1)

        assert work.result(handle.id).get(0) == work.AsyncResult(handle.id).get(0) == [1]
        assert work.result(handle.id).name == "work"

    def test_celerys_way_to_a_handle(
        self, app: TaskFlow, end: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handle = app.send("work")
        end(Verb.COMPLETE, result=b"5", completed_at=1)
        monkeypatch.setattr(registry, "_apps", {})
        with pytest.raises(ConfigurationError, match=r"there is none in this process: write app\.result"):
            AsyncResult(handle.id)
        registry.register(app)

        assert (
            AsyncResult(handle.id) == AsyncResult(handle.id, app=app) == app.AsyncResult(handle.id) == handle
        )
        assert AsyncResult(handle.id).get(0) == 5
        other = TaskFlow("another", broker="redis://127.0.0.1:1")
        with pytest.raises(ConfigurationError, match="has 2"):
            AsyncResult(handle.id)
        assert AsyncResult("1", app=other).id == "1"


def test_the_queues_are_asked_in_one_trip(valkey: Any, queue: str) -> None:
    """One by one, an app with thirty queues would take thirty round trips for each look."""
    app = TaskFlow("trips", broker=valkey.url, queue=queue)
    for number in range(30):
        app.task(name=f"work-{number}", queue=f"{queue}-{number}")(lambda: None)
    handle = app.send("work-29")
    seen: list[int] = []
    broker = app.client.broker
    ask = broker.run_many
    broker.run_many = lambda requests, timeout: seen.append(len(requests)) or ask(requests, timeout)  # type: ignore[method-assign, assignment, func-returns-value]

    assert app.result(handle.id).state is State.PENDING
    assert seen == [31]
    app.close()


def test_queues_that_routes_name_are_asked_too(url: str, queue: str) -> None:
    """Nothing that is declared names them: their tasks are somewhere else."""
    app = TaskFlow("routed", broker=url, queue=queue)
    app.conf.task_routes = {"mail.*": {"queue": f"{queue}-mail"}}
    handle = app.send("mail.deliver", to=1)
    try:
        assert handle.queue == f"{queue}-mail"
        assert app.result(handle.id).status == "PENDING"
    finally:
        app.close()


def test_whoever_watches_a_task_need_not_name_its_queue(
    app: TaskFlow, queue: str, end: Callable[..., None]
) -> None:
    app.task(name="away", queue=f"{queue}-other")(lambda: None)
    handle = app.send("work")
    end(Verb.COMPLETE, result=b"5", completed_at=1)

    seen = list(app.result(handle.id).watch(10))

    assert seen, "its verdict at least"
