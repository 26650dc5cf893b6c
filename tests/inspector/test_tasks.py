"""What the inspector says of tasks, and how it moves them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskflow.errors import IllegalMove, InvalidOption, TaskNotFound
from taskflow.inspector import Inspector, Problem
from taskflow.inspector.both import LoopBroker, ThreadBroker
from taskflow.states import CancelOutcome, State
from tests.inspector.stored import OWNER, PAYLOAD, Stored


def near(moment: datetime | None, seconds_from_now: float) -> bool:
    assert moment is not None
    return abs(moment - datetime.now(UTC) - timedelta(seconds=seconds_from_now)) < timedelta(seconds=20)


def test_a_task_is_shown_with_what_its_state_has(inspector: Inspector, stored: Stored) -> None:
    for state in State:
        stored.put(state, state.value)
    found = {state: inspector.task(stored.queue, state.value) for state in State}
    assert all(found[state].state is state for state in State)
    assert near(found[State.PENDING].pending_since, 0)
    assert near(found[State.ACTIVE].lease_until, 30)
    assert found[State.ACTIVE].owner == OWNER
    assert near(found[State.SCHEDULED].next_process_at, 3600)
    assert near(found[State.RETRY].next_process_at, 600)
    assert (found[State.RETRY].last_error, found[State.RETRY].message.retried) == ("no route", 1)  # type: ignore[union-attr]
    assert near(found[State.ARCHIVED].archived_at, 0)
    assert found[State.ARCHIVED].last_error == "card refused"
    assert near(found[State.COMPLETED].expires_at, 600)
    assert found[State.COMPLETED].result == b'"paid"'
    assert found[State.AGGREGATING].group == "g1"


def test_a_state_may_be_given_by_its_name_and_one_that_is_not_is_said(
    inspector: Inspector, stored: Stored
) -> None:
    """`run_all("images", "scheduled")` was an AttributeError; a misspelt state, and page 0, were an empty or a wrong page."""
    stored.put(State.SCHEDULED, "t1")
    assert inspector.tasks(stored.queue, "scheduled").total == 1  # type: ignore[arg-type]
    with pytest.raises(IllegalMove, match="state active cannot be run"):
        inspector.run_all(stored.queue, "active")  # type: ignore[arg-type]
    for ask in (inspector.tasks, inspector.run_all, inspector.delete_all):
        with pytest.raises(InvalidOption, match="there is no state 'sheduled'; there are pending, active"):
            ask(stored.queue, "sheduled")  # type: ignore[operator]
    for wrong in ({"page": 0}, {"size": 0}):
        with pytest.raises(InvalidOption, match="numbered from 1"):
            inspector.tasks(stored.queue, State.PENDING, **wrong)


def test_arguments_are_not_in_a_repr(inspector: Inspector, stored: Stored) -> None:
    stored.put(State.COMPLETED, "t1")
    found = inspector.task(stored.queue, "t1")
    assert found.message is not None
    assert found.message.payload == PAYLOAD
    assert "secret" not in repr(found)
    assert "paid" not in repr(found)


@pytest.mark.parametrize("state", list(State))
def test_pages_follow_the_order_in_which_tasks_come_up(
    inspector: Inspector, stored: Stored, state: State
) -> None:
    ids = [f"t{number}" for number in range(7)]
    for task_id in ids:
        stored.put(state, task_id)
    pages = [inspector.tasks(stored.queue, state, page=page, size=3) for page in (1, 2, 3, 4)]
    assert [page.total for page in pages] == [7] * 4
    assert [[task.id for task in page.tasks] for page in pages] == [ids[:3], ids[3:6], ids[6:], []]
    assert all(task.state is state for page in pages for task in page.tasks)


def test_aggregating_pages_run_over_groups_and_sets(inspector: Inspector, stored: Stored) -> None:
    for number in range(3):
        stored.put(State.AGGREGATING, f"a{number}", group="a")
        stored.put(State.AGGREGATING, f"b{number}", group="b")
    stored.aggregation_set("a", "a2")
    pages = [inspector.tasks(stored.queue, State.AGGREGATING, page=page, size=4) for page in (1, 2)]
    assert [[task.id for task in page.tasks] for page in pages] == [["a0", "a1", "b0", "b1"], ["b2", "a2"]]
    assert pages[0].total == 6
    one = inspector.tasks(stored.queue, State.AGGREGATING, group="a")
    assert [(task.id, task.group) for task in one.tasks] == [("a0", "a"), ("a1", "a"), ("a2", "a")]
    assert inspector.tasks(stored.queue, State.AGGREGATING, group="none").tasks == ()
    assert [(group.name, group.size) for group in inspector.groups(stored.queue)] == [("a", 2), ("b", 3)]


def test_large_messages_are_listed_to_the_end_of_the_page(inspector: Inspector, stored: Stored) -> None:
    for number in range(9):
        stored.put(State.SCHEDULED, f"t{number}", payload=bytes(1024 * 1024))
    page = inspector.tasks(stored.queue, State.SCHEDULED, size=9)
    assert [task.id for task in page.tasks] == [f"t{number}" for number in range(9)]


@pytest.mark.broken_keys
def test_what_cannot_be_read_is_shown_as_such(inspector: Inspector, stored: Stored) -> None:
    """One dangling id makes a whole page of Go's tools fail."""
    stored.put(State.PENDING, "good")
    stored.raw.lpush(stored.keys.pending, "dangling", b"\xff\xfe", "garbage", "bare")
    stored.raw.hset(stored.keys.task("garbage"), mapping={"msg": b"\xff\xff", "state": "pending"})
    stored.raw.hset(stored.keys.task("bare"), "result", "1")
    found = inspector.tasks(stored.queue, State.PENDING).tasks
    assert [(task.id, task.problem) for task in found] == [
        ("good", Problem.NONE),
        ("dangling", Problem.MISSING),
        ("\udcff\udcfe", Problem.MISSING),
        ("garbage", Problem.UNREADABLE),
        ("bare", Problem.UNREADABLE),
    ]
    assert inspector.queue(stored.queue).pending == 5
    with pytest.raises(TaskNotFound):
        inspector.task(stored.queue, "dangling")
    assert inspector.task(stored.queue, "bare").state is None


def test_an_odd_score_or_time_breaks_nothing(inspector: Inspector, stored: Stored) -> None:
    """Go fails to list a score that is no whole number."""
    stored.put(State.SCHEDULED, "t1")
    stored.put(State.SCHEDULED, "t2", deadline=2**62)
    stored.raw.zadd(stored.keys.scheduled, {"t1": 1_795_478_084.5, "t2": float("inf")})
    found = inspector.tasks(stored.queue, State.SCHEDULED).tasks
    assert found[0].next_process_at is not None
    assert (found[1].next_process_at, found[1].deadline) == (None, None)


def test_an_active_task_whose_lease_ended_is_orphaned(inspector: Inspector, stored: Stored) -> None:
    stored.put(State.ACTIVE, "t1")
    stored.put(State.ACTIVE, "t2")
    stored.raw.zadd(stored.keys.lease, {"t1": time.time() - 5})
    found = inspector.tasks(stored.queue, State.ACTIVE).tasks
    assert [(task.id, task.is_orphaned) for task in found] == [("t1", True), ("t2", False)]


def test_orders_for_one_task(inspector: Inspector, stored: Stored) -> None:
    stored.put(State.RETRY, "t1")
    inspector.run(stored.queue, "t1")
    assert stored.state("t1") == "pending"
    inspector.archive(stored.queue, "t1")
    assert stored.state("t1") == "archived"
    inspector.delete(stored.queue, "t1")
    assert stored.is_nowhere("t1")
    for order in (inspector.run, inspector.archive, inspector.delete):
        with pytest.raises(TaskNotFound, match="no task 't1'"):
            order(stored.queue, "t1")


def test_an_illegal_order_names_the_state(inspector: Inspector, stored: Stored) -> None:
    for state in State:
        stored.put(state, state.value)
    stored.aggregation_set("g1", "aggregating")
    refusals = [
        (inspector.run, "active", "is active, so it cannot be run"),
        (inspector.run, "pending", "is pending already"),
        (inspector.run, "aggregating", "is aggregating"),
        (inspector.archive, "active", "is active, so it cannot be archived"),
        (inspector.archive, "archived", "is archived already"),
        (inspector.archive, "completed", "is completed, so it cannot be archived"),
        (inspector.delete, "active", "is active, so it cannot be deleted; `taskflow task cancel` stops it"),
        (inspector.require_active, "pending", "is pending, so there is nothing to cancel"),
    ]
    for order, task_id, text in refusals:
        with pytest.raises(IllegalMove, match=re.escape(text)):
            order(stored.queue, task_id)
        assert stored.state(task_id) == task_id


def test_orders_for_a_whole_state(inspector: Inspector, stored: Stored) -> None:
    for number in range(250):
        stored.put(State.RETRY, f"r{number}")
    assert inspector.run_all(stored.queue, State.RETRY) == 250
    assert inspector.archive_all(stored.queue, State.PENDING) == 250
    assert inspector.delete_all(stored.queue, State.ARCHIVED) == 250
    assert inspector.delete_all(stored.queue, State.ARCHIVED) == 0
    assert inspector.queue(stored.queue).size == 0


def test_orders_for_groups(inspector: Inspector, stored: Stored) -> None:
    for group in ("a", "b", "c"):
        for number in range(3):
            stored.put(State.AGGREGATING, f"{group}{number}", group=group)
    assert inspector.run_all(stored.queue, State.AGGREGATING, "a") == 3
    assert inspector.archive_all(stored.queue, State.AGGREGATING, "b") == 3
    assert inspector.delete_all(stored.queue, State.AGGREGATING, "none") == 0
    assert inspector.delete_all(stored.queue, State.AGGREGATING) == 3
    assert inspector.queue(stored.queue).size == 6


@pytest.mark.parametrize(
    ("name", "state"),
    [("run_all", State.PENDING), ("archive_all", State.COMPLETED), ("delete_all", State.ACTIVE)],
)
def test_a_whole_state_is_moved_only_where_one_task_may(
    inspector: Inspector, stored: Stored, name: str, state: State
) -> None:
    with pytest.raises(IllegalMove, match=f"tasks in state {state.value} cannot be"):
        getattr(inspector, name)(stored.queue, state)


@pytest.mark.broken_keys
def test_deleting_all_ends_although_clients_go_on(
    inspector: Inspector, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It handles as many as there were, not as many as come."""
    for number in range(120):
        stored.put(State.PENDING, f"t{number}")
    for kind in (ThreadBroker, LoopBroker):

        async def run_and_enqueue(
            broker: Any, command: Any, timeout: float = 5, run: Any = kind.run
        ) -> object:
            value = await run(broker, command, timeout)
            if command.name == "delete_all":
                for number in range(200):
                    stored.raw.lpush(stored.keys.pending, f"new{number}")
            return value

        monkeypatch.setattr(kind, "run", run_and_enqueue)
    assert inspector.delete_all(stored.queue, State.PENDING) == 120
    assert set(stored.ids(State.PENDING)) == {f"new{number}" for number in range(200)}


def test_a_cancel_of_what_no_listed_queue_has_reaches_who_listens(
    inspector: Inspector, stored: Stored
) -> None:
    listener = stored.raw.pubsub()
    listener.subscribe("asynq:cancel")
    assert listener.get_message(timeout=5)["type"] == "subscribe"
    assert inspector.cancel("nobody-has-it") is CancelOutcome.ENDED
    assert listener.get_message(timeout=5)["data"] == b"nobody-has-it"
    listener.close()


def test_a_page_far_beyond_the_end_is_empty(inspector: Inspector, stored: Stored) -> None:
    stored.put(State.PENDING, "t1")
    found = inspector.tasks(stored.queue, State.PENDING, page=10**20, size=30)
    assert (found.tasks, found.total) == ((), 1)
