"""All that is kept of a task, in one look: on a server and on a cluster, with keys, and in eager mode."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow import State, TaskFlow, current_task
from taskflow.errors import Reject, ResultMissing, ResultNotTrusted, ResultUnreadable, Retry, Snooze
from taskflow.stores import FolderStore
from tests.security.keys import ENCRYPTION, SIGNING
from tests.servers import Server


@pytest.fixture
def app(url: str, queue: str) -> Iterator[TaskFlow]:
    app = TaskFlow("record", broker=url, queue=queue, retention=600)
    yield app
    app.close()


def test_a_record_has_the_arguments_and_headers_of_a_task(app: TaskFlow, queue: str) -> None:
    """Django's `TaskResult` has them, and so has Celery's extended result: what `info()` keeps to itself."""

    @app.task(name="work")
    def work(src: str, width: int = 800) -> None: ...

    handle = work.options(headers={"who": "me"}).delay("a.png", width=7)

    record = handle.record()
    assert (record.info.id, record.info.state, record.info.queue) == (handle.id, State.PENDING, queue)
    assert record.kwargs == {"src": "a.png", "width": 7}
    assert record.headers == {"who": "me"}
    assert record.result is None
    assert "a.png" not in repr(record)


def test_several_queues_are_asked_where_they_are_named(app: TaskFlow, queue: str) -> None:
    """Whoever knows in which queues its tasks are, and not in which of them one is, asks those and no others."""

    @app.task(name="work")
    def work() -> None: ...

    other = f"{queue}-other"
    handle = work.options(queue=other).delay()

    assert app.result(handle.id, queue=[queue, other]).record().info.queue == other
    with pytest.raises(ResultMissing):
        app.result(handle.id, queue=[queue, f"{queue}-third"]).record()


@pytest.mark.parametrize("packed", ["plain", "msgpack", "keys", "store"])
def test_a_record_is_opened_as_the_arguments_were_closed(
    valkey: Server, queue: str, packed: str, tmp_path: Path
) -> None:
    """However they travel, whoever may read them reads what was given."""
    more: dict[str, Any] = {
        "keys": {"signing_keys": [SIGNING], "encryption_keys": [ENCRYPTION]},
        "store": {"store": FolderStore(tmp_path / "store"), "store_over": 10},
    }.get(packed, {})
    app = TaskFlow("record", broker=valkey.url, queue=queue, **more)

    @app.task(name="work", serializer="msgpack" if packed == "msgpack" else None)
    def work(items: list[int]) -> None: ...

    handle = work.delay(list(range(20)))
    record = handle.record()

    assert record.kwargs == {"items": list(range(20))}

    async def again() -> None:
        assert await app.result(handle.id, queue=queue).arecord() == record
        await app.aclose()

    asyncio.run(again())
    app.close()


def test_who_has_not_the_keys_gets_no_arguments(valkey: Server, queue: str) -> None:
    """A record that somebody else has put there says so, and one that is closed stays so."""
    closed = TaskFlow("record", broker=valkey.url, queue=queue, encryption_keys=[ENCRYPTION])
    signed = TaskFlow("record", broker=valkey.url, queue=queue, signing_keys=[SIGNING])
    plain = TaskFlow("record", broker=valkey.url, queue=queue)

    sealed, open_ = closed.send("work", a=1), plain.send("work", a=1)

    with pytest.raises(ResultUnreadable):
        plain.result(sealed.id, queue=queue).record()
    with pytest.raises(ResultNotTrusted):
        signed.result(open_.id, queue=queue).record()
    for app in (closed, signed, plain):
        app.close()


def test_eager_mode_has_records_too() -> None:
    """A test of the user's asks as its program does."""
    app = TaskFlow("record", eager=True, retention=60)

    @app.task
    def double(number: int) -> int:
        return 2 * number

    record = double.delay(4).record()

    assert (record.info.state, record.kwargs, record.result) == (State.COMPLETED, {"number": 4}, 8)


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (ValueError("no"), [False, False, True]),
        (KeyError("declared as no reason to try again"), [True]),
        (Reject("no"), [True]),
        (Retry("again", max_retries=1), [False, True]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_task_knows_whether_it_has_failed_for_good(error: BaseException, last: list[bool]) -> None:
    """What is done once, as to tell the customer, is not done with each attempt: the same rules decide as after the attempt."""
    app = TaskFlow("record", eager=True, max_retries=2)
    seen: list[bool] = []

    @app.task(dont_autoretry_for=(KeyError,))
    def fail() -> None:
        seen.append(current_task().is_last(error))
        raise error

    handle = fail.delay()

    assert seen == last
    assert handle.state is State.ARCHIVED
    assert handle.record().error_type == (type(error).__name__)


def test_a_task_that_snoozes_has_not_failed() -> None:
    """Neither has one that nobody runs: a plain call of the function is the caller's."""
    app = TaskFlow("record", eager=True, max_retries=0)
    seen: list[bool] = []

    @app.task
    def sleepy() -> None:
        seen.append(current_task().is_last(Snooze(1)))

    sleepy.delay()

    assert seen == [False]
