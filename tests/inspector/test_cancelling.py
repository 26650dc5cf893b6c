"""Cancelling many tasks at once: which are meant, how many there were, and what is refused."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from taskflow import CancelCounts, CancelOutcome, State, TaskFlow
from taskflow.errors import InvalidOption, TaskNotFound
from taskflow.inspector import cancelling
from tests.inspector.stored import Stored
from tests.servers import Server


@pytest.fixture
def app(valkey: Server, queue: str) -> Iterator[TaskFlow]:
    app = TaskFlow(
        f"shop-{queue}",
        broker=valkey.url,
        queue=queue,
        retention=60,
        queues={f"{queue}-wide": {"partitions": 3}},
    )
    yield app
    app.close()


def noop(number: int = 0) -> None: ...


def test_all_that_match_are_cancelled_and_no_other(app: TaskFlow, queue: str) -> None:
    send, mail = app.task(name="mail:send")(noop), app.task(name="mail:fetch", queue=f"{queue}-wide")(noop)
    other = app.task(name="other")(noop)
    big = [
        send.options(headers={"customer": "17"}).delay(1),
        mail.options(headers={"customer": "17"}, delay=60).delay(2),
    ]
    small = [
        send.options(headers={"customer": "18"}).delay(3),
        other.options(headers={"customer": "17"}).delay(4),
    ]

    assert app.cancel(name="mail:*", headers={"customer": "17"}) == CancelCounts(2)

    assert [one.status for one in big] == ["REVOKED"] * 2
    assert [one.state for one in small] == [State.PENDING] * 2
    assert app.cancel(state=[State.PENDING], queue=queue) == CancelCounts(2)
    assert app.cancel(queue=queue) == CancelCounts()


def test_tasks_are_cancelled_by_their_ids_wherever_they_are(app: TaskFlow, queue: str) -> None:
    plain, wide = app.task(name="a")(noop), app.task(name="b", queue=f"{queue}-wide")(noop)
    handles = [plain.delay(1), wide.delay(2), wide.delay(3)]

    async def order() -> CancelCounts:
        counts = await app.acancel(handles[0].id, handles[1].id, handles[1].id, "nobody")
        assert await handles[2].acancel() is CancelOutcome.CANCELLED
        assert await handles[2].arevoke() is CancelOutcome.ENDED
        await app.aclose()
        return counts

    assert asyncio.run(order()) == CancelCounts(2, 0, 1)
    assert [one.state for one in handles] == [State.ARCHIVED] * 3


def test_a_handle_out_of_a_pickle_or_by_id_cancels_too(app: TaskFlow) -> None:
    task = app.task(name="a")(noop)
    first, second = task.delay(), task.options(delay=60).delay()
    assert pickle.loads(pickle.dumps(first)).cancel() is CancelOutcome.CANCELLED
    assert app.result(second.id).cancel(terminate=3) is CancelOutcome.CANCELLED
    assert app.result("nobody").cancel() is CancelOutcome.ENDED


def test_tasks_that_come_while_others_are_cancelled_keep_none_from_being_found(
    app: TaskFlow, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read page by page, and what is cancelled leaves the pages before it shorter."""
    monkeypatch.setattr(cancelling, "PAGE", 3)
    task = app.task(name="a")(noop)
    task.map([(number,) for number in range(20)])
    assert app.inspector.cancel_all(queues=[queue], name="a", dry=True) == CancelCounts(20)
    assert app.cancel(name="a") == CancelCounts(20)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"state": "completed"},
        {"state": "nowhere"},
        {"queue": "q", "terminate": -1},
        {"queue": "q", "terminate": "soon"},
    ],
)
def test_a_cancel_that_cannot_be_meant_is_refused(app: TaskFlow, words: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        app.cancel(**words)


def test_ids_and_something_to_match_are_refused_together(app: TaskFlow) -> None:
    with pytest.raises(InvalidOption, match="not both"):
        app.cancel("id", name="x")


@pytest.mark.parametrize(("signal", "grace"), [(None, 5.0), ("SIGTERM", 5.0), ("KILL", 0.0)])
def test_celerys_signals_are_what_a_task_is_ended_by(
    app: TaskFlow, monkeypatch: pytest.MonkeyPatch, signal: str | None, grace: float
) -> None:
    asked: list[Any] = []
    handle = app.task(name="a")(noop).delay()
    monkeypatch.setattr(handle, "cancel", lambda terminate: asked.append(cancelling.grace_of(terminate)))
    handle.revoke(terminate=True, signal=signal)
    assert asked == [grace]
    with pytest.raises(InvalidOption, match="SIGUSR1"):
        handle.revoke(terminate=True, signal="SIGUSR1")


def test_in_eager_mode_everything_has_ended() -> None:
    app = TaskFlow("eager", eager=True, retention=60)
    handle = app.task(name="a")(noop).delay()
    assert handle.cancel() is CancelOutcome.ENDED
    assert app.cancel(handle.id, "other") == CancelCounts(ended=2)
    assert app.cancel(name="*") == CancelCounts()


def test_an_operator_cancels_one_task(inspector: Any, stored: Stored) -> None:
    stored.put(State.RETRY, "one")
    stored.put(State.ACTIVE, "two")
    assert inspector.cancel("one", stored.queue) is CancelOutcome.CANCELLED
    assert inspector.cancel("two", stored.queue, terminate=True) is CancelOutcome.ASKED
    assert inspector.task(stored.queue, "one").state is State.ARCHIVED
    assert [inspector.task(stored.queue, one).is_cancelled for one in ("one", "two")] == [False, True]
    with pytest.raises(TaskNotFound):
        inspector.cancel("nobody", stored.queue)
