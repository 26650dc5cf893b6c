"""Orders by hand whose replies get lost: each is carried out once, and says what it did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskflow.broker.sync import Broker
from taskflow.errors import IllegalMove, QueueNotEmpty, TaskNotFound
from taskflow.inspector import Inspector
from taskflow.states import State
from tests.faults.lost import EveryReplyIsLostOnce
from tests.inspector.stored import Stored
from tests.servers import Server


@pytest.fixture
def deaf(valkey: Server) -> Iterator[Inspector]:
    """An inspector that hears of each call only when it has sent it again."""
    driver = EveryReplyIsLostOnce(valkey.url)
    broker = Broker(driver)
    yield Inspector(broker)
    broker.close()
    assert driver.lost


def test_a_whole_state_is_counted_in_full(deaf: Inspector, stored: Stored) -> None:
    """The story: 250 tasks in three steps, each step's reply lost. The repeated step found the tasks moved already, or
    moved the next hundred, and `taskflow task archive --all` said that it had archived 50.
    """
    for number in range(250):
        stored.put(State.RETRY, f"r{number}")
    assert deaf.run_all(stored.queue, State.RETRY) == 250
    assert len(stored.ids(State.PENDING)) == 250
    assert deaf.archive_all(stored.queue, State.PENDING) == 250
    assert len(stored.ids(State.ARCHIVED)) == 250
    assert deaf.delete_all(stored.queue, State.ARCHIVED) == 250
    assert deaf.queue(stored.queue).size == 0


def test_a_group_is_counted_in_full(deaf: Inspector, stored: Stored) -> None:
    for group in ("a", "b", "c"):
        for number in range(3):
            stored.put(State.AGGREGATING, f"{group}{number}", group=group)
    assert deaf.run_all(stored.queue, State.AGGREGATING, "a") == 3
    assert deaf.archive_all(stored.queue, State.AGGREGATING, "b") == 3
    assert deaf.delete_all(stored.queue, State.AGGREGATING) == 3
    assert deaf.purge(stored.queue) == 3


def test_a_step_that_is_repeated_takes_nothing_more(deaf: Inspector, stored: Stored) -> None:
    """A repetition that took the next hundred would go on beyond what there was at the beginning."""
    for number in range(5):
        stored.put(State.SCHEDULED, f"t{number}")
    step = deaf.run_all(stored.queue, State.SCHEDULED)
    stored.put(State.SCHEDULED, "later")
    assert step == 5
    assert stored.ids(State.SCHEDULED) == ["later"]


def test_an_order_for_one_task_is_a_success_or_names_the_state(deaf: Inspector, stored: Stored) -> None:
    """The repetition of a success is one; an order that the state does not allow is refused also when it is repeated."""
    stored.put(State.SCHEDULED, "t1")
    deaf.archive(stored.queue, "t1")
    with pytest.raises(IllegalMove, match="is archived already"):
        deaf.archive(stored.queue, "t1")
    deaf.run(stored.queue, "t1")
    with pytest.raises(IllegalMove, match="is pending already"):
        deaf.run(stored.queue, "t1")
    deaf.delete(stored.queue, "t1")
    with pytest.raises(TaskNotFound):
        deaf.delete(stored.queue, "t1")


def test_pausing_and_resuming_say_whether_they_changed_anything(deaf: Inspector, stored: Stored) -> None:
    assert [deaf.pause(stored.queue), deaf.pause(stored.queue)] == [True, False]
    assert [deaf.resume(stored.queue), deaf.resume(stored.queue)] == [True, False]


def test_a_removal_that_fails_leaves_the_queue_as_it_was(
    deaf: Inspector, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pauses the queue meanwhile. Where the reply to the step that did was lost, the queue stayed paused for ever."""
    stored.put(State.PENDING, "t1")

    async def in_vain(*_: object) -> bool:
        return False

    monkeypatch.setattr("taskflow.inspector.removal._delete_keys", in_vain)
    with pytest.raises(QueueNotEmpty, match="gets new tasks"):
        deaf.remove(stored.queue, force=True)
    assert not stored.raw.exists(stored.keys.paused)
