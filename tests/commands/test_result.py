"""`AsyncResult` on a real server: waiting for a verdict, and what can be said of a task meanwhile.

The worker here is the test itself, command by command, so that nothing depends on timing.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from taskflow import AsyncResult, State, TaskFlow
from taskflow.broker.commands.dequeue import Taken
from taskflow.broker.commands.finish import Written, finish
from taskflow.broker.commands.read import error_text
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.errors import BrokerUnavailable, ResultMissing, ResultNotKept, ResultTimeout, TaskFailed
from taskflow.message.task_message import TaskMessage
from taskflow.states import Verb
from tests.servers import Server, wait_until
from tests.taking import ended, take_one

OWNER = "host:1:test"

LATE = 30
"""Seconds that no test comes near."""


class FakeWorker:
    """Takes and finishes tasks of one queue, one call at a time."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self._broker = broker
        self._queue = queue

    def take(self) -> Taken:
        return take_one(self._broker, self._queue, OWNER)

    def finish(
        self, taken: Taken, verb: Verb, *, delay: float = 0, result: bytes = b"", **changes: Any
    ) -> None:
        message = replace(TaskMessage.decode(taken.message), **changes).encode() if changes else b""
        item = ended(taken, verb, message=message, delay=delay, result=result)
        (written,) = self._broker.run(finish(self._queue, [item], time.time()))
        assert written is not Written.REFUSED

    def complete(self, result: bytes = b'"done"') -> None:
        now = int(time.time())
        self.finish(self.take(), Verb.COMPLETE, delay=600, result=result, completed_at=now)


@pytest.fixture
def app(valkey: Server, queue: str) -> Iterator[TaskFlow]:
    app = TaskFlow("results", broker=valkey.url, queue=queue, retention=600, max_retries=3)

    @app.task(name="work")
    def work(number: int = 0) -> Any:
        return str(number)

    yield app
    app.close()


@pytest.fixture
def worker(broker: Broker, queue: str) -> FakeWorker:
    return FakeWorker(broker, queue)


@pytest.fixture
def while_waiting(raw: redis.Redis) -> Iterator[Callable[[AsyncResult[Any], Callable[[], None]], None]]:
    """Do something in a thread as soon as somebody is subscribed to the verdict on a task."""
    threads: list[threading.Thread] = []

    def when_subscribed(result: AsyncResult[Any], act: Callable[[], None]) -> None:
        channel = queue_keys(result.queue).verdict_channel(result.id)

        def run() -> None:
            wait_until(
                lambda: dict(raw.pubsub_shardnumsub(channel))[channel.encode()],
                description="somebody is subscribed",
            )
            act()

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield when_subscribed
    for thread in threads:
        thread.join()


class TestGet:
    def test_the_verdict_may_be_there_already(self, app: TaskFlow, worker: FakeWorker) -> None:
        result = app.send("work")
        worker.complete(b'{"width":800}')

        assert result.get(timeout=0) == {"width": 800}
        assert result.get(timeout=0) == {"width": 800}

    def test_a_waiter_is_woken(
        self,
        app: TaskFlow,
        worker: FakeWorker,
        while_waiting: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Not by looking again: with looks a minute apart it still comes at once."""
        monkeypatch.setattr("taskflow.tasks.waiting.FIRST_LOOK", 60)
        monkeypatch.setattr("taskflow.tasks.waiting.LONGEST_LOOK", 60)
        result = app.send("work")
        while_waiting(result, worker.complete)

        assert result.get(timeout=LATE) == "done"

    def test_a_coroutine_is_woken(
        self,
        app: TaskFlow,
        worker: FakeWorker,
        while_waiting: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("taskflow.tasks.waiting.FIRST_LOOK", 60)
        monkeypatch.setattr("taskflow.tasks.waiting.LONGEST_LOOK", 60)
        result = app.send("work")
        while_waiting(result, worker.complete)

        async def wait() -> str:
            try:
                return await result.aget(timeout=LATE)  # type: ignore[no-any-return]
            finally:
                await app.aclose()

        assert asyncio.run(wait()) == "done"

    @pytest.mark.broken_keys
    def test_what_go_writes_is_found_by_looking(
        self, app: TaskFlow, worker: FakeWorker, raw: redis.Redis, while_waiting: Callable[..., None]
    ) -> None:
        """Go tells nobody; and it may have written no result at all."""
        result = app.send("work")
        keys = queue_keys(result.queue)

        def complete_as_go_does() -> None:
            worker.take()
            raw.lrem(keys.active, 0, result.id)
            raw.zadd(keys.completed, {result.id: time.time() + 600})
            raw.hset(keys.task(result.id), "state", "completed")

        while_waiting(result, complete_as_go_does)

        assert result.get(timeout=LATE) is None

    @pytest.mark.parametrize(
        ("stored", "value"),
        [(b"[1,2]", [1, 2]), (b"plain text", "plain text"), (b"\xff", b"\xff"), (b"null", None)],
    )
    def test_a_result_that_is_no_json_comes_as_it_is(
        self, app: TaskFlow, worker: FakeWorker, stored: bytes, value: object
    ) -> None:
        """A Go handler may write any bytes."""
        result = app.send("work")
        worker.complete(stored)

        assert result.get(timeout=0) == value

    def test_a_failed_task_raises_with_its_text(self, app: TaskFlow, worker: FakeWorker) -> None:
        result = app.send("work")
        worker.finish(worker.take(), Verb.ARCHIVE, error_msg="no such image")

        with pytest.raises(TaskFailed, match=r"failed: no such image") as caught:
            result.get(timeout=0)

        assert (caught.value.text, caught.value.task_id) == ("no such image", result.id)

    def test_a_task_in_retry_is_waited_for(
        self,
        app: TaskFlow,
        worker: FakeWorker,
        broker: Broker,
        raw: redis.Redis,
        while_waiting: Callable[..., None],
    ) -> None:
        result = app.send("work")
        worker.finish(worker.take(), Verb.RETRY, delay=60, error_msg="busy", retried=1)
        assert result.state is State.RETRY
        with pytest.raises(ResultTimeout):
            result.get(timeout=0.1)

        def run_again() -> None:
            keys = queue_keys(result.queue)
            raw.zrem(keys.retry, result.id)
            raw.lpush(keys.pending, result.id)
            raw.hset(keys.task(result.id), "state", "pending")
            worker.complete()

        while_waiting(result, run_again)

        assert result.get(timeout=LATE) == "done"

    def test_a_task_without_retention_is_refused_at_once(self, app: TaskFlow) -> None:
        result = app.tasks["work"].options(retention=0).delay()

        with pytest.raises(ResultNotKept, match="retention=<seconds>"):
            result.get(timeout=LATE)
        with pytest.raises(ResultNotKept):
            asyncio.run(alone(app, app.result(result.id).aget(timeout=LATE)))

    def test_a_task_without_retention_that_failed_is_a_failure(
        self, app: TaskFlow, worker: FakeWorker
    ) -> None:
        """It is archived, so its text is there whatever `retention` says."""
        result = app.tasks["work"].options(retention=0).delay()
        worker.finish(worker.take(), Verb.ARCHIVE, error_msg="no")

        with pytest.raises(TaskFailed, match="no"):
            result.get(timeout=0)

    @pytest.mark.broken_keys
    def test_a_task_that_nobody_knows_is_missing(self, app: TaskFlow, raw: redis.Redis) -> None:
        result = app.send("work")
        raw.delete(queue_keys(result.queue).task(result.id))

        for handle in (result, app.result("never-was")):
            with pytest.raises(ResultMissing, match="does not know task"):
                handle.get(timeout=LATE)

    @pytest.mark.broken_keys
    def test_a_deleted_task_ends_the_wait(
        self, app: TaskFlow, raw: redis.Redis, while_waiting: Callable[..., None]
    ) -> None:
        result = app.send("work")
        while_waiting(result, lambda: raw.delete(queue_keys(result.queue).task(result.id)) and None)

        with pytest.raises(ResultMissing):
            result.get(timeout=LATE)

    def test_no_verdict_in_time(self, app: TaskFlow) -> None:
        result = app.send("work")
        started = time.monotonic()

        with pytest.raises(ResultTimeout, match=result.id):
            result.get(timeout=0.3)
        with pytest.raises(TimeoutError):
            asyncio.run(alone(app, result.aget(timeout=0.3)))

        assert 0.6 <= time.monotonic() - started < 5

    def test_many_waiters_leave_nothing_behind(
        self, app: TaskFlow, worker: FakeWorker, raw: redis.Redis
    ) -> None:
        results = [app.send("work") for _ in range(5)]
        before = connections(raw)
        for result in results:
            with pytest.raises(ResultTimeout):
                result.get(timeout=0.1)

        wait_until(lambda: connections(raw) <= before, description="the listeners are closed")


class TestLooks:
    def test_the_state_on_its_way(self, app: TaskFlow, worker: FakeWorker) -> None:
        result = app.send("work")
        assert result.state is State.PENDING
        taken = worker.take()
        assert result.state is State.ACTIVE
        worker.finish(taken, Verb.COMPLETE, delay=600, completed_at=1)
        assert result.state is State.COMPLETED
        assert app.tasks["work"].options(delay=60).delay().state is State.SCHEDULED
        assert app.tasks["work"].options(group="g").delay().state is State.AGGREGATING
        assert app.result("never-was").state is None

    def test_info(self, app: TaskFlow, worker: FakeWorker, queue: str) -> None:
        result = app.send("work")
        failed_at = int(time.time())
        worker.finish(
            worker.take(), Verb.RETRY, delay=60, error_msg="busy", retried=1, last_failed_at=failed_at
        )

        info = result.info()

        assert (info.id, info.queue, info.name, info.state) == (result.id, queue, "work", State.RETRY)
        assert (info.retried, info.max_retries, info.last_error, info.retention) == (1, 3, "busy", 600)
        assert info.last_failed_at == datetime.fromtimestamp(failed_at, UTC)
        assert info.completed_at is None
        assert asyncio.run(alone(app, result.ainfo())) == info

    def test_info_of_a_completed_task_says_when(self, app: TaskFlow, worker: FakeWorker) -> None:
        result = app.send("work")
        worker.complete()

        completed_at = result.info().completed_at

        assert completed_at is not None
        assert abs(datetime.now(UTC) - completed_at) < timedelta(minutes=1)

    def test_info_of_a_task_that_nobody_knows(self, app: TaskFlow) -> None:
        with pytest.raises(ResultMissing):
            app.result("never-was").info()

    @pytest.mark.broken_keys
    def test_unreadable_bytes_are_no_info_and_no_verdict(
        self, app: TaskFlow, raw: redis.Redis, queue: str
    ) -> None:
        raw.hset(queue_keys(queue).task("broken"), mapping={"msg": b"\xff\xff", "state": "pending"})
        result = app.result("broken")

        assert result.state is State.PENDING
        with pytest.raises(ResultMissing):
            result.info()
        with pytest.raises(ResultTimeout):
            result.get(timeout=0.1)

    def test_handles_are_equal_by_id_and_queue(self, app: TaskFlow, queue: str) -> None:
        assert app.result("1") == app.result("1", queue=queue)
        assert app.result("1") != app.result("1", queue="other")
        assert len({app.result("1"), app.result("1")}) == 1
        assert repr(app.result("1", queue="images")) == "AsyncResult(id='1', queue='images')"

    def test_an_unreachable_broker_is_said_so(self) -> None:
        app = TaskFlow("results", broker="redis://127.0.0.1:1")

        with pytest.raises(BrokerUnavailable):
            app.result("1").state  # noqa: B018


async def alone(app: TaskFlow, wait: Any) -> Any:
    """One coroutine on an event loop of its own, whose connections are closed at its end."""
    try:
        return await wait
    finally:
        await app.aclose()


def connections(raw: redis.Redis) -> int:
    return len(raw.client_list())


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (None, ""),
        (b"boom", "boom"),
        (b'{"type": "ProcessDied", "text": "its process died 3 times"}', "its process died 3 times"),
        (b'{"type": "ValueError"}', "ValueError"),
        (b'{"text": 5}', '{"text": 5}'),
        (b"[" * 100_000, "[" * 100_000),
        (b"\xff", "\ufffd"),
    ],
)
def test_the_error_beside_a_message_is_shown_in_words(stored: bytes | None, text: str) -> None:
    assert error_text(stored) == text
