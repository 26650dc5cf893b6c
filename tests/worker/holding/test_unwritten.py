"""Which verdicts of a queue go in one call, and in which order they are tried again."""

from __future__ import annotations

from taskflow.broker.commands.dequeue import Taken
from taskflow.broker.commands.finish import BATCH, DONE_BATCH
from taskflow.message.outcome import MOST_FOLLOWERS, FollowUp, Outcome
from taskflow.states import Verb
from taskflow.worker.holding.held_tasks import Held
from taskflow.worker.holding.unwritten import Item, UnwrittenQueue

FOLLOWER = FollowUp("a-queue", "an-id", b"a message")


def verdicts(count: int, *, followers: int = 0) -> list[Item]:
    taken = [Taken(str(number), b"", "a-token", 0, 0) for number in range(count)]
    return [(Held("q", one), Outcome(0, Verb.DONE, then=[FOLLOWER] * followers)) for one in taken]


def ids(items: list[Item]) -> list[str]:
    return [held.id for held, _ in items]


def waiting(count: int) -> UnwrittenQueue:
    queue = UnwrittenQueue()
    queue.fresh += verdicts(count)
    return queue


def test_what_was_sent_is_kept_until_it_is_answered() -> None:
    """What an error took out with it stayed active for ever."""
    queue = waiting(3)

    batch = queue.next(0.0)

    assert batch is not None
    assert len(queue) == 3
    assert queue.next(0.0) is batch, "nobody has answered"
    queue.settled(batch)
    assert len(queue) == 0
    assert queue.next(0.0) is None


def test_what_failed_keeps_nothing_waiting_that_has_come_since() -> None:
    queue = waiting(1)
    failed = queue.next(0.0)
    assert failed is not None
    failed.not_before = 10.0
    queue.fresh += verdicts(2)

    fresh = queue.next(1.0)

    assert fresh is not None
    assert len(fresh.items) == 2
    queue.settled(fresh)
    assert queue.next(1.0) is None
    assert queue.wait(1.0) == 9.0
    assert queue.next(10.0) is failed


def test_halves_are_tried_in_order_and_remember_that_they_may_have_been_written() -> None:
    """Sent as if for the first time, a verdict that was written would be refused, as somebody else's."""
    queue = waiting(5)
    batch = queue.next(0.0)
    assert batch is not None
    batch.resent = True

    queue.split(batch)

    assert [ids(half.items) for half in queue.failed] == [["0", "1"], ["2", "3", "4"]]
    assert all(half.resent for half in queue.failed)


def test_a_call_is_short_however_many_verdicts_wait_and_however_much_follows_them() -> None:
    """A follower is as much work for the server as a task."""
    queue = waiting(BATCH + 1)
    many = UnwrittenQueue()
    many.fresh += verdicts(BATCH, followers=MOST_FOLLOWERS)

    first, second = queue.next(0.0), many.next(0.0)

    assert first is not None
    assert second is not None
    assert len(first.items) == BATCH
    assert len(queue) == BATCH + 1
    assert 0 < len(second.items) * (1 + MOST_FOLLOWERS) <= BATCH + MOST_FOLLOWERS


def test_a_call_has_fewer_verdicts_that_are_more_work_than_done() -> None:
    """A retry is four times the work of a task that is done, and the server does nothing else meanwhile."""
    queue = waiting(BATCH)
    queue.fresh = [(held, Outcome(0, Verb.RETRY, b"message", 1.0)) for held, _ in queue.fresh]

    batch = queue.next(0.0)

    assert batch is not None
    assert len(batch.items) == BATCH // 2


def test_what_is_simply_done_and_what_is_more_than_that_do_not_keep_each_other_waiting() -> None:
    queue = waiting(3 * BATCH)
    queue.done += [held for held, _ in verdicts(3 * BATCH)]

    batch = queue.next(0.0)

    assert batch is not None
    assert (len(batch.items), len(batch.done)) == (BATCH // 2, BATCH // 2)
    assert len(batch) == BATCH
    assert len(queue) == 6 * BATCH, "until it is answered"
    assert len(batch.held()) == BATCH
    queue.settled(batch)
    assert len(queue) == 5 * BATCH
    queue.fresh.clear()
    alone = queue.next(0.0)
    assert alone is not None
    assert (len(alone.items), len(alone.done)) == (0, DONE_BATCH)
