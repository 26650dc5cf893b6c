"""An app with an outbox: what goes there, what its handles say, and what becomes of it when it is delivered."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from taskflow import ReadyTask, State, TaskFlow, errors, events
from taskflow.client.handing_over import FRESH_SECONDS
from taskflow.message.task_message import TaskMessage

_numbers = itertools.count()


class Rows:
    """An outbox in memory. A real one keeps bytes, too."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.calls = 0

    def put(self, tasks: Sequence[ReadyTask]) -> None:
        self.calls += 1
        self.rows += [task.pack() for task in tasks]

    async def aput(self, tasks: Sequence[ReadyTask]) -> None:
        await asyncio.sleep(0)
        self.put(tasks)

    def read(self) -> list[ReadyTask]:
        return [ReadyTask.unpack(row) for row in self.rows]


class Shop:
    """An app whose calls go through an outbox, and its task."""

    def __init__(self, url: str, queue: str, **options: Any) -> None:
        self.queue = queue
        self.rows = Rows()
        self.app = TaskFlow(
            f"shop-{queue}-{next(_numbers)}", broker=url, queue=queue, retention=60, **options
        )
        self.app.use_outbox(self.rows)

        @self.app.task(name="add")
        def add(a: int, b: int = 1) -> int:
            return a + b

        self.add = add

    def pending(self) -> int:
        try:
            found = self.app.inspector.queue(self.queue)
        except errors.QueueNotFound:
            return 0
        return found.pending + found.scheduled


@pytest.fixture
def shop(url: str, queue: str) -> Iterator[Shop]:
    made = Shop(url, queue)
    yield made
    made.app.close()


def _half_a_batch(shop: Shop) -> None:
    with shop.app.batch():
        shop.add.delay(4)
        shop.add.delay()


def run_all(shop: Shop) -> None:
    """Let a worker run what waits."""

    async def serve() -> None:
        async with shop.app.worker(queues=[shop.queue], burst=True) as worker:
            await worker.wait()
        await shop.app.aclose()

    asyncio.run(serve())


def test_a_call_goes_to_the_outbox_and_comes_to_its_queue_by_delivery_once(shop: Shop) -> None:
    handle = shop.add.delay(1, b=2)
    (ready,) = shop.rows.read()
    assert (ready.id, ready.queue, ready.name) == (handle.id, shop.queue, "add")
    assert TaskMessage.decode(ready.message).id == handle.id
    assert handle.state is None
    assert not handle.ready()
    first = shop.app.deliver([ready])
    again = shop.app.deliver([ready])
    assert [(one.is_settled, one.is_new, one.error) for one in first + again] == [
        (True, True, None),
        (True, False, None),
    ]
    assert handle.state is State.PENDING
    shop.app.delivered([ready])
    run_all(shop)
    assert handle.get(timeout=25) == 3
    assert shop.pending() == 0


def test_what_is_known_of_a_call_before_it_is_delivered_is_no_lie(shop: Shop) -> None:
    """Its queue does not know it: for every other handle that says that it has ended, or never was. `get()` would raise."""
    handle = shop.add.delay(1)
    unpickled = pickle.loads(pickle.dumps(handle))
    for one in (handle, unpickled):
        assert (one.state, one.status, one.ready(), one.successful(), one.failed()) == (
            None,
            None,
            False,
            False,
            False,
        )
        assert one.result is None
        with pytest.raises(errors.ResultTimeout):
            one.get(timeout=0.2)
        with pytest.raises(errors.ResultTimeout):
            list(one.watch(timeout=0.2))
    shop.app.deliver(shop.rows.read())
    assert handle.state is State.PENDING
    shop.app.inspector.delete(shop.queue, handle.id)
    # It was seen in its queue: now it is gone as any other.
    assert handle.ready()
    with pytest.raises(errors.ResultMissing):
        handle.get(timeout=25)


def test_a_coroutine_keeps_its_calls_likewise(shop: Shop) -> None:
    async def call() -> int:
        one = await shop.add.adelay(1)
        many = await shop.add.amap([(n,) for n in range(3)])
        async with shop.app.batch() as batch:
            await shop.add.adelay(7)
        assert [item.error for item in many] == [None] * 3
        assert len(batch.outcomes) == 1
        ready = shop.rows.read()
        assert [d.is_new for d in await shop.app.adeliver(ready)] == [True] * 5
        assert [d.is_new for d in await shop.app.adeliver(ready)] == [False] * 5
        await shop.app.adelivered(ready)
        assert (await one.astate()) is State.PENDING
        assert not await one.aready()
        await shop.app.aclose()
        return len(ready)

    assert asyncio.run(call()) == 5
    assert shop.pending() == 5


def test_bulks_go_there_together_and_keep_their_order(shop: Shop) -> None:
    handles = shop.add.map([(n,) for n in range(1200)])
    assert shop.rows.calls == 3
    with shop.app.batch() as batch:
        shop.add.delay(1)
        sent = shop.add.options(outbox=False).delay(2)
        shop.add.delay(3)
    assert [item.result.id for item in batch.outcomes if item.result][1] == sent.id
    assert shop.pending() == 1
    ready = shop.rows.read()
    assert [task.id for task in ready[:1200]] == [item.result.id for item in handles if item.result]
    assert len(ready) == 1202
    with pytest.raises(errors.InvalidArguments):
        _half_a_batch(shop)
    assert len(shop.rows.rows) == 1202


def test_which_calls_go_there_is_said_by_app_task_and_call(url: str, queue: str) -> None:
    shop = Shop(url, queue)
    shop.app.use_outbox(shop.rows, always=False)
    kept = shop.app.task(name="kept", outbox=True)(lambda: None)
    shop.add.delay(1)
    assert shop.rows.rows == []
    kept.delay()
    shop.add.options(outbox=True).delay(2)
    shop.add.apply_async((3,), outbox=True)
    assert len(shop.rows.rows) == 3
    kept.options(outbox=False).delay()
    assert len(shop.rows.rows) == 3
    assert shop.pending() == 2
    shop.app.use_outbox(None)
    with pytest.raises(errors.ConfigurationError, match="use_outbox"):
        shop.add.options(outbox=True).delay(2)
    with pytest.raises(errors.ConfigurationError, match="has no put"):
        shop.app.use_outbox(object())  # type: ignore[arg-type]
    shop.app.close()


def test_what_the_outbox_raises_the_caller_gets(shop: Shop) -> None:
    def put(tasks: Sequence[ReadyTask]) -> None:
        raise LookupError("no transaction")

    shop.rows.put = put  # type: ignore[method-assign]
    with pytest.raises(LookupError):
        shop.add.delay(1)
    assert shop.pending() == 0


def test_a_call_that_can_never_be_in_its_queue_is_settled_with_its_error(shop: Shop) -> None:
    """Nobody is there to be told any more, as the caller of a `.delay()` is: the relay logs it, and goes on with the others."""
    shop.add.options(unique=60).delay(1)
    shop.add.options(unique=60).delay(1)
    shop.add.options(id="mine").delay(1)
    shop.add.options(id="mine").delay(2)
    shop.add.delay(5)
    found = shop.app.deliver(shop.rows.read())
    assert [type(one.error) for one in found] == [
        type(None),
        errors.DuplicateTask,
        type(None),
        errors.TaskIdConflict,
        type(None),
    ]
    assert all(one.is_settled for one in found)


def test_what_was_read_long_ago_is_not_delivered(shop: Shop) -> None:
    """A relay that stood still must not deliver what another may have delivered, and whose marker may have ended."""
    shop.add.delay(1)
    (found,) = shop.app.deliver(shop.rows.read(), read_at=time.monotonic() - FRESH_SECONDS - 1)
    assert not found.is_settled
    assert isinstance(found.error, errors.DeliveredTooLate)
    assert shop.pending() == 0
    (found,) = shop.app.deliver(shop.rows.read())
    assert found.is_new


def test_another_clock_at_the_server_does_not_make_a_delivery_late(shop: Shop) -> None:
    """A fail-over to a node whose clock is an hour ahead: what its clock says is learned from its refusal."""
    shop.add.delay(1)
    shop.app.deliver(shop.rows.read())
    shop.add.delay(2)
    known = shop.app.client._handing_over._server
    known[shop.queue] -= 3600
    assert [one.is_new for one in shop.app.deliver(shop.rows.read())] == [False, True]


def test_enqueued_is_told_where_it_is_delivered(shop: Shop) -> None:
    """At the call nobody knows yet whether its transaction will be committed."""
    heard: list[str] = []
    shop.app.on(events.Enqueued)(lambda event: heard.append(event.id))
    handle = shop.add.delay(1)
    shop.add.map([(1,)])
    assert heard == []
    shop.app.deliver(shop.rows.read())
    shop.app.deliver(shop.rows.read())
    assert heard[0] == handle.id
    assert len(heard) == 2


KEYS = {"signing_keys": ["a-signing-key-of-16"], "encryption_keys": ["an-encryption-key-16"]}


def test_what_lies_there_is_sealed_and_whoever_delivers_needs_no_keys(url: str, queue: str) -> None:
    shop = Shop(url, queue, **KEYS)
    handle = shop.add.delay(4242)
    shop.add.options(unique=60).delay(1)
    shop.add.map([(1,)] * 2)
    assert all(b"4242" not in row for row in shop.rows.rows)
    relay = TaskFlow("relay", broker=url)
    assert [one.is_new for one in relay.deliver(shop.rows.read())] == [True] * 4
    run_all(shop)
    assert handle.get(timeout=25) == 4243
    relay.close()
    shop.app.close()


def test_a_large_payload_goes_into_the_row_and_not_into_the_store(
    url: str, queue: str, tmp_path: Any
) -> None:
    """What waits in a store for its task is garbage after a while, and what a rolled-back transaction put there always was."""
    from taskflow.stores import FolderStore

    shop = Shop(url, queue, store=FolderStore(tmp_path), store_over=1000)
    echo = shop.app.task(name="echo")(_size)
    handle = echo.delay("x" * 100_000)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(shop.rows.rows[0]) > 100_000
    with pytest.raises(errors.PayloadTooLarge):
        echo.delay("x" * 2_000_000)
    shop.app.deliver(shop.rows.read())
    run_all(shop)
    assert handle.get(timeout=25) == 100_000
    shop.app.close()


def _size(text: str) -> int:
    return len(text)


@pytest.mark.parametrize("count", [1, 4])
def test_a_partition_is_chosen_without_asking_anybody(url: str, queue: str, count: int) -> None:
    shop = Shop(url, queue, queues={queue: {"partitions": count}})
    silent = Shop("redis://127.0.0.1:1", queue, queues={queue: {"partitions": count}})
    plain = [silent.add.delay(n) for n in range(2 * count)]
    named = silent.add.options(id="mine").delay(1)
    locked = silent.add.options(unique=60).delay(99)
    ready = silent.rows.read()
    assert [task.queue for task in ready] == [handle.queue for handle in (*plain, named, locked)]
    assert len({task.queue for task in ready[: 2 * count]}) == count
    assert all(one.is_new for one in shop.app.deliver(ready))
    # A plain call finds both where it looks for them.
    with pytest.raises(errors.TaskIdConflict):
        shop.add.options(id="mine", outbox=False).delay(1)
    with pytest.raises(errors.DuplicateTask):
        shop.add.options(unique=60, outbox=False).delay(99)
    run_all(shop)
    assert shop.app.result(plain[0].id, queue=queue).get(timeout=25) == 1
    shop.app.close()


def test_middleware_is_around_a_call_that_is_kept(shop: Shop) -> None:
    @shop.app.middleware
    class Stamp:
        def enqueue(self, call: Any, next: Callable[[], Any]) -> Any:
            call.headers["trace"] = "4bf9"
            return next()

    shop.add.delay(1)
    shop.add.map([(1,)])
    assert [TaskMessage.decode(task.message).headers["trace"] for task in shop.rows.read()] == ["4bf9"] * 2


def test_a_delay_runs_from_the_call_on_and_not_from_the_delivery(shop: Shop) -> None:
    """The outbox knows by its own clock how long a call has lain there."""
    shop.add.options(delay=1000, expires=2000).delay(1)
    (ready,) = shop.rows.read()
    assert (ready.delay, ready.expires) == (1000.0, 2000.0)
    shop.app.deliver([ready.aged(2000)])
    assert shop.app.inspector.queue(shop.queue).pending == 1


def test_a_queue_that_cannot_be_reached_keeps_nothing_else_waiting(shop: Shop) -> None:
    """And none of it raises: each task has its own outcome."""
    silent = Shop("redis://127.0.0.1:1", shop.queue)
    silent.add.delay(1)
    (found,) = silent.app.deliver(silent.rows.read(), timeout=0.3)
    assert not found.is_settled
    assert isinstance(found.error, errors.BrokerUnavailable)
    silent.app.close()
