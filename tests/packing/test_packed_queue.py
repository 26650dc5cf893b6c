"""What is packed and put away, through a real worker: with and without keys, in threads and on the loop."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from taskflow import TaskFlow
from taskflow.broker.commands.stored import FIRST_LOOK
from taskflow.broker.keys import queue_keys
from taskflow.errors import (
    InvalidOption,
    PayloadTooLarge,
    ResultUnreadable,
    StoreError,
    TaskFailed,
    TaskIdConflict,
)
from taskflow.message.compression import PACKED
from taskflow.message.content import CONTENT_TYPE_HEADER
from taskflow.message.offload import STORED
from taskflow.message.task_message import TaskMessage
from taskflow.stores import FolderStore
from taskflow.worker.timings import Timings
from tests.packing.app import APPS, KEYS, OVER, make
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

BIG = "abc" * OVER
TIMINGS = Timings(store=0.2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def app(
    request: pytest.FixtureRequest, valkey: Server, queue: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TaskFlow]:
    """The client's side of the app that the test asks for."""
    monkeypatch.setenv("TEST_STORE", str(folder))
    monkeypatch.setenv("TEST_QUEUE", queue)
    name = getattr(request, "param", "stored")
    found = make(name in ("stored", "both"), name in ("sealed", "both"))
    found.use_broker(valkey.url_as("producer"))
    yield found
    found.close()


@pytest.fixture
def worker(valkey: Server, queue: str, folder: Path) -> Callable[..., WorkerProcess]:
    def start(app: str = "stored", **options: Any) -> WorkerProcess:
        environment = {"TEST_STORE": str(folder), "TEST_QUEUE": queue, **options.pop("environment", {})}
        options = {"queues": {queue: 1}, "concurrency": 4, "timings": TIMINGS, **options}
        url = valkey.url_as("worker")
        return WorkerProcess(f"tests.packing.app:{app}", broker=url, environment=environment, **options)

    return start


def name_of(app: TaskFlow) -> str:
    return next(name for name, one in APPS.items() if one.name == app.name)


def task(app: TaskFlow, name: str) -> Any:
    return app.tasks[f"tests.packing.app.{name}"]


def files(folder: Path) -> list[Path]:
    """What is there now; folders may go while they are walked through."""
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


def message_of(raw: redis.Redis, queue: str, id: str) -> TaskMessage:
    return TaskMessage.decode(raw.hget(queue_keys(queue).task(id), "msg"))  # type: ignore[arg-type]


def result_of(raw: redis.Redis, queue: str, id: str) -> bytes:
    return raw.hget(queue_keys(queue).task(id), "result")  # type: ignore[return-value]


def look_now(raw: redis.Redis, queue: str) -> bool:
    """As if their time had come; false, for a condition that it is to be repeated before."""
    key = queue_keys(queue).stored
    if due := dict.fromkeys(raw.zrange(key, 0, -1), 1.0):  # type: ignore[arg-type]
        raw.zadd(key, due, xx=True)
    return False


@pytest.mark.parametrize("app", list(APPS), indirect=True)
def test_large_and_small_values_go_and_come_back(
    app: TaskFlow, worker: Callable[..., WorkerProcess], raw: redis.Redis, queue: str, folder: Path
) -> None:
    """In every kind of app, from threads and from coroutines, one by one and many; what is stored is small, and tells nothing."""
    squeezed = {"compression": "zstd"} if name_of(app) in ("plain", "sealed") else {}
    text, atext = task(app, "text").options(**squeezed), task(app, "atext").options(**squeezed)

    async def enqueue() -> list[Any]:
        many = await atext.amap([(BIG,), ("small",)])
        return [await atext.adelay(BIG), await text.adelay("small"), *many.results]

    handles = [text.delay(BIG), *text.map([(BIG,), ("small",)]).results, *asyncio.run(enqueue())]
    with app.batch():
        handles.append(atext.delay(BIG))
    before = [message_of(raw, queue, handle.id) for handle in handles]
    assert all(len(message.payload or b"") < OVER for message in before)
    with worker(name_of(app)):
        values = [handle.get(timeout=20) for handle in handles]
        assert asyncio.run(handles[0].aget(timeout=20)) == BIG
    assert sorted(values) == sorted([BIG] * 5 + ["small"] * 3)
    results = [result_of(raw, queue, handle.id) for handle in handles]
    assert all(len(result) < OVER for result in results)
    if name_of(app) == "plain":
        assert {result.startswith(PACKED) for result in results} == {True, False}
    if name_of(app) == "both":
        assert not [path for path in files(folder) if b"abcabc" in path.read_bytes()]
    if name_of(app) in ("stored", "both"):
        # A file for each large payload, and for each large result.
        assert len(files(folder)) == 2 * 5
        assert {result.startswith(STORED) for result in results} == {True, False}


@pytest.mark.parametrize("app", ["plain", "both"], indirect=True)
def test_msgpack_goes_and_comes_back(app: TaskFlow, worker: Callable[..., WorkerProcess]) -> None:
    when = datetime(2030, 1, 1, tzinfo=UTC)
    value = {1: b"\xff", "when": when, "big": BIG}
    handles = [
        task(app, "anything").delay(value),
        task(app, "typed").delay(when, b"\xff" * 10),
        task(app, "typed").delay(when, b"\xff" * OVER, number=math.nan),
    ]
    with worker(name_of(app)):
        assert [handle.get(timeout=20) for handle in handles] == [value, b"\xff" * 10, b"\xff" * OVER]
        assert app.result(handles[0].id, queue=handles[0].queue).get(timeout=20) == value


def test_what_a_task_has_in_the_store_goes_with_the_task(
    app: TaskFlow,
    valkey: Server,
    worker: Callable[..., WorkerProcess],
    raw: redis.Redis,
    queue: str,
    folder: Path,
) -> None:
    """Done, deleted by hand, and expired with its retention; what is still needed stays."""
    text, fail = task(app, "text"), task(app, "fail")
    done = task(app, "size").options(retention=0).delay(BIG)
    failed, deleted = fail.delay(BIG), fail.delay(BIG)
    kept, short = text.delay(BIG), text.options(retention=1).delay(BIG)
    app.use_broker(valkey.url)
    assert len(files(folder)) == 5
    with worker():
        assert kept.get(timeout=20) == BIG
        assert short.get(timeout=20) == BIG
        for handle in (failed, deleted):
            with pytest.raises(TaskFailed):
                handle.get(timeout=20)
        wait_until(lambda: done.state is None, description="the task is done")
        assert len(files(folder)) == 7, "nothing is looked at before its time"
        app.inspector.delete(queue, deleted.id)
        wait_until(lambda: short.state is None, description="its retention is over")
        wait_until(
            lambda: look_now(raw, queue) or len(files(folder)) == 3, description="the others are deleted"
        )
        wait_until(lambda: raw.zcard(queue_keys(queue).stored) == 3, description="and forgotten")
        assert {path.parent.name for path in files(folder)} == {failed.id, kept.id}
        # The arguments of what is archived are there for whoever runs it again.
        app.inspector.run(queue, failed.id)
        with pytest.raises(TaskFailed, match="it failed"):
            failed.get(timeout=20)


def test_what_was_put_and_never_enqueued_is_found(
    app: TaskFlow, worker: Callable[..., WorkerProcess], raw: redis.Redis, queue: str, folder: Path
) -> None:
    """As of a process that died in between, and of a call that was refused: the entry is there before the file is."""
    size = task(app, "size")
    assert app._crypto is not None
    assert app._crypto.offload is not None
    app._crypto.offload.put("payload", queue, "never-enqueued", b"x" * 2 * OVER)
    first = size.options(id="same").delay(BIG)
    with pytest.raises(TaskIdConflict):
        size.options(id="same").delay(BIG)
    assert len(files(folder)) == 3
    with worker():
        assert first.get(timeout=20) == len(BIG)
        wait_until(
            lambda: look_now(raw, queue) or {path.parent.name for path in files(folder)} <= {"same"},
            description="it is deleted",
        )


def test_a_store_that_cannot_delete_is_asked_again(
    app: TaskFlow, worker: Callable[..., WorkerProcess], raw: redis.Redis, queue: str, folder: Path
) -> None:
    """It is said, by type only, and nothing is forgotten meanwhile."""
    handle = task(app, "size").options(retention=0).delay(BIG)
    with worker() as process:
        wait_until(lambda: handle.state is None, description="the task is done")
        (path,) = files(folder)
        data = path.read_bytes()
        path.unlink()
        path.mkdir()  # which `unlink` refuses
        look_now(raw, queue)
        process.wait_for_log("IsADirectoryError")
        key = queue_keys(queue).stored
        # The look that failed notes when the next is: not while the file is put in place of the folder.
        wait_until(lambda: raw.zcount(key, 1, 1) == 0, description="it has noted it")
        assert raw.zcard(queue_keys(queue).stored) == 1
        path.rmdir()
        path.write_bytes(data)
        wait_until(lambda: look_now(raw, queue) or files(folder) == [], description="it is deleted")
        wait_until(lambda: raw.zcard(queue_keys(queue).stored) == 0, description="and forgotten")


@pytest.mark.parametrize("app", ["stored", "both"], indirect=True)
def test_a_task_whose_arguments_are_gone_is_archived_and_says_so(
    app: TaskFlow, worker: Callable[..., WorkerProcess], folder: Path
) -> None:
    handles = [task(app, name).delay(BIG) for name in ("text", "atext")]
    for path in files(folder):
        path.unlink()
    with worker(name_of(app)):
        for handle in handles:
            with pytest.raises(TaskFailed, match="does not have it"):
                handle.get(timeout=20)


def test_a_result_that_is_gone_says_so(
    app: TaskFlow, worker: Callable[..., WorkerProcess], folder: Path
) -> None:
    handle = task(app, "text").delay(BIG)
    with worker():
        assert handle.get(timeout=20) == BIG
    for path in folder.rglob("result-*"):
        path.unlink()
    with pytest.raises(ResultUnreadable, match="does not have it"):
        app.result(handle.id, queue=handle.queue).get(timeout=20)


def test_a_store_that_takes_nothing_is_the_error_of_the_call(
    app: TaskFlow, folder: Path, raw: redis.Redis, queue: str
) -> None:
    """And nothing is enqueued; of many calls, those that were sent before are."""
    folder.write_text("no folder")
    text = task(app, "text")
    with pytest.raises(StoreError, match="FolderStore"):
        text.delay(BIG)
    with pytest.raises(StoreError):
        text.map([("small",), (BIG,)])
    with pytest.raises(StoreError):
        asyncio.run(text.adelay(BIG))
    assert raw.llen(queue_keys(queue).pending) == 0


def test_a_result_that_the_store_does_not_take_archives_its_task(
    app: TaskFlow, worker: Callable[..., WorkerProcess]
) -> None:
    """It has run: another attempt would do its work again."""
    handle = task(app, "grow").delay("a" * (OVER - 50))
    with worker(environment={"TEST_STORE": "/proc/nowhere"}), pytest.raises(TaskFailed, match="did not take"):
        handle.get(timeout=20)


def test_with_a_store_arguments_may_be_larger_than_a_megabyte(app: TaskFlow, valkey: Server) -> None:
    with pytest.raises(PayloadTooLarge):
        TaskFlow("none", broker=valkey.url).task(name="text")(text_of).delay("x" * 2_000_000)
    assert task(app, "text").delay("x" * 2_000_000).state == "pending"


def test_what_waits_longer_for_its_task_than_the_first_look_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidOption, match="enqueue_timeout"):
        TaskFlow("shop", store=FolderStore(folder), enqueue_timeout=FIRST_LOOK)


def test_an_app_with_a_store_runs_eagerly(folder: Path) -> None:
    app = TaskFlow("shop", store=FolderStore(folder), store_over=OVER, eager=True, retention=60, **KEYS)
    assert app.task(name="text")(text_of).delay(BIG).get() == BIG


@pytest.mark.parametrize("keys", [{}, KEYS])
def test_what_runs_here_puts_nothing_into_the_store(folder: Path, keys: dict[str, Any]) -> None:
    """Neither eager mode nor `apply`, which needs no broker: nothing would ever delete it."""
    for eager in (True, False):
        url = "redis://127.0.0.1:1"
        app = TaskFlow("shop", broker=url, store=FolderStore(folder), store_over=OVER, eager=eager, **keys)
        task = app.task(name="text", retention=60)(text_of)
        assert task.apply((BIG,)).get() == BIG
        if eager:
            assert task.delay(BIG).get() == BIG
    assert files(folder) == []


def text_of(data: str) -> str:
    return data


def test_a_message_says_where_its_payload_is(app: TaskFlow, raw: redis.Redis, queue: str) -> None:
    """A worker of the release before archives it unread: the page says so."""
    handle = task(app, "text").delay(BIG)
    message = message_of(raw, queue, handle.id)
    assert message.headers[CONTENT_TYPE_HEADER] == "application/json; location=store"
    assert b"taskflow_store" in (message.payload or b"")
