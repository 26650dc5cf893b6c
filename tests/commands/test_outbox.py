"""The outbox by its scripts: what the end of a task puts there, how it is delivered and confirmed, who finds what is left."""

from __future__ import annotations

import time
import uuid

import msgspec
import pytest

from taskflow.broker.commands.finish import finish
from taskflow.broker.commands.outbox import (
    BATCH,
    CONFIRMED_SECONDS,
    NOT_AFTER_SECONDS,
    ONCE_SECONDS,
    Overdue,
    confirm,
    deliver,
    entries_of,
    overdue,
    shorten_marker,
)
from taskflow.broker.commands.queues import remove_keys, remove_step
from taskflow.broker.keys import queue_keys
from taskflow.broker.words import Delivered, Emptied, Written
from taskflow.errors import BrokerError
from taskflow.message.outcome import MOST_FOLLOWERS, AttemptRecord, FollowUp, Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.states import Verb
from tests.commands.test_transitions import Queue, Run
from tests.taking import ended

LATER = float(int(time.time()) + 10_000)
"""A moment after which nothing of these tests is delivered."""


class Outbox(Queue):
    """A queue, whose tasks have followers for another."""

    def __init__(self, run: Run, name: str) -> None:
        super().__init__(run, name)
        self.other = f"other-{uuid.uuid4().hex[:6]}"
        self.others = Queue(run, self.other)

    def follower(self, task_id: str, at: float = 0.0, queue: str = "") -> FollowUp:
        queue = queue or self.other
        message = TaskMessage(type="next", payload=b"{}", id=task_id, queue=queue, timeout=60)
        return FollowUp(queue, task_id, message.encode(), at)

    def names(self) -> list[str]:
        """What lies in the outbox; both of its keys say the same."""
        names = sorted(self.call("HGETALL", self.keys.outbox)[::2])  # HKEYS is no right of taskflow's users
        assert names == sorted(self.call("ZRANGE", self.keys.outbox_at, 0, -1))
        return [name.decode() for name in names]

    def age(self, seconds: float) -> None:
        """Let what lies there have lain there for so long."""
        for name in self.names():
            self.call("ZADD", self.keys.outbox_at, time.time() - seconds, name)

    def look(self, away: list[tuple[str, float]] | None = None) -> Overdue:
        found: Overdue = self.run(overdue(self.name, 5, away or []))
        return found


@pytest.fixture
def q(run: Run, queue: str) -> Outbox:
    return Outbox(run, queue)


@pytest.mark.parametrize("verb", [Verb.DONE, Verb.COMPLETE])
def test_followers_are_in_the_outbox_when_their_task_has_ended_and_not_before(q: Outbox, verb: Verb) -> None:
    q.add("a", "b")
    a, b = q.take()
    then = (q.follower("f1"), q.follower("f2", at=LATER))
    kept = {"message": a.message, "delay": 60, "result": b"1"} if verb is Verb.COMPLETE else {}
    assert q.names() == []
    assert q.run(finish(q.name, [ended(a, verb, then=then, **kept), ended(b, Verb.DONE)], time.time())) == [
        Written.WRITTEN,
        Written.WRITTEN,
    ]
    assert q.state("a") == ("gone" if verb is Verb.DONE else "completed")
    assert q.names() == sorted(entry.name for entry in entries_of(a, Outcome(0, verb, then=then)))
    q.age(6)
    found = q.look()
    assert sorted(found.entries, key=lambda entry: entry.follower.id) == entries_of(
        a, Outcome(0, verb, then=then)
    )


def test_what_is_refused_has_no_followers(q: Outbox) -> None:
    """The fence: the worker came back late, and somebody else has the task. What it says must not be followed by anything."""
    q.add("a")
    (late,) = q.take(token="first")
    q.call("ZADD", q.keys.lease, 1, "a")
    q.finish(Verb.REQUEUE, late)
    q.take(token="second")
    item = ended(late, Verb.DONE, then=(q.follower("f1"),))
    assert q.run(finish(q.name, [item], time.time())) == [Written.REFUSED]
    assert q.run(finish(q.name, [item], time.time()).again()) == [Written.REFUSED]
    assert q.names() == []


def test_a_verdict_that_is_sent_again_puts_nothing_into_the_outbox_again(q: Outbox) -> None:
    q.add("a")
    (a,) = q.take()
    command = finish(q.name, [ended(a, Verb.DONE, then=(q.follower("f1"),))], time.time())
    assert q.run(command) == [Written.WRITTEN]
    q.run(confirm(q.name, q.names()))
    assert q.run(command.again()) == [Written.ALREADY_WRITTEN]
    assert q.names() == []


def test_two_runs_of_one_task_have_followers_beside_each_other(q: Outbox) -> None:
    """A kept task is run once more by hand before the followers of its first run are delivered: they are not overwritten."""
    q.add("a")
    for token, follower in (("first", "f1"), ("second", "f2")):
        (a,) = q.take(token=token)
        item = ended(a, Verb.DONE, then=(q.follower(follower),))
        assert q.run(finish(q.name, [item], time.time())) == [Written.WRITTEN]
        q.add("a")
    q.age(6)
    assert {entry.follower.id for entry in q.look().entries} == {"f1", "f2"}


@pytest.mark.parametrize("verb", sorted({*Verb} - {Verb.DONE, Verb.COMPLETE}))
def test_only_an_outcome_that_ends_a_task_well_may_have_followers(q: Outbox, verb: Verb) -> None:
    q.add("a")
    (a,) = q.take()
    with pytest.raises(ValueError, match="cannot have 1 followers"):
        finish(q.name, [ended(a, verb, then=(q.follower("f"),))], time.time())


def test_nothing_has_more_followers_than_a_script_may_write(q: Outbox) -> None:
    q.add("a")
    (a,) = q.take()
    with pytest.raises(ValueError, match="cannot have 101 followers"):
        finish(q.name, [ended(a, Verb.DONE, then=(q.follower("f"),) * (MOST_FOLLOWERS + 1))], time.time())


def test_a_follower_is_delivered_once_however_often_and_by_whom(q: Outbox) -> None:
    now_and_then = [q.follower("now"), q.follower("later", at=LATER)]
    command = deliver(q.other, now_and_then, LATER)
    assert q.run(command).replies == [Delivered.DELIVERED] * 2
    assert (q.others.state("now"), q.others.state("later")) == ("pending", "scheduled")
    assert float(q.others.call("ZSCORE", q.others.keys.scheduled, "later")) == pytest.approx(LATER, abs=1.1)
    assert q.run(command).replies == [Delivered.ALREADY_THERE] * 2
    # It runs, and is gone without a trace, but for its marker.
    (taken,) = q.others.take()
    assert taken.message == now_and_then[0].message
    q.others.finish(Verb.DONE, taken)
    assert q.run(command).replies == [Delivered.ALREADY_THERE] * 2
    assert q.others.state("now") == "gone"
    ttl = q.others.call("TTL", q.others.keys.once("now"))
    assert ONCE_SECONDS - 100 < ttl <= ONCE_SECONDS
    # It is out of the outbox: the marker is for those who had seen it there.
    q.run(shorten_marker(q.other, "now"))
    assert NOT_AFTER_SECONDS < q.others.call("TTL", q.others.keys.once("now")) <= CONFIRMED_SECONDS


def test_a_message_that_was_made_anew_is_the_same_follower(q: Outbox) -> None:
    first, again = q.follower("f"), q.follower("f")
    again = FollowUp(again.queue, again.id, again.message + b"\x52\x01x")
    assert q.run(deliver(q.other, [first], LATER)).replies == [Delivered.DELIVERED]
    assert q.run(deliver(q.other, [again], LATER)).replies == [Delivered.ALREADY_THERE]
    assert q.others.call("LLEN", q.others.keys.pending) == 1


def test_a_delivery_that_comes_too_late_writes_nothing(q: Outbox) -> None:
    """Whoever stood still for longer than the markers live cannot tell whether its followers have run meanwhile."""
    found = q.run(deliver(q.other, [q.follower("f")], time.time() - 5))
    assert found.replies == [Delivered.TOO_LATE]
    assert abs(found.server_time - time.time()) < 60
    assert q.others.state("f") == "gone"
    assert q.others.call("EXISTS", q.others.keys.once("f")) == 0


@pytest.mark.parametrize("place", ["pending", "scheduled", "due"])
def test_a_delivery_to_a_queue_that_is_broken_leaves_nothing_there(q: Outbox, place: str) -> None:
    """A key of a wrong type stood where tasks wait. The delivery failed after it had written task and marker: the next one found
    them, and said that the follower was there, so it was confirmed and never ran.
    """
    keys, followers = q.others.keys, [q.follower("now"), q.follower("later", at=time.time() + 60.5)]
    q.others.call("SET", getattr(keys, place), "no list")
    with pytest.raises(BrokerError):
        q.run(deliver(q.other, followers, LATER))
    written = [key for one in followers for key in (keys.task(one.id), keys.once(one.id))]
    assert q.others.call("EXISTS", *written) == 0
    q.others.call("DEL", getattr(keys, place))
    assert q.run(deliver(q.other, followers, LATER)).replies == [Delivered.DELIVERED] * 2
    assert [q.others.state(one.id) for one in followers] == ["pending", "scheduled"]


def test_what_is_overdue_is_given_to_one_after_the_other_until_somebody_confirms_it(q: Outbox) -> None:
    q.add("a")
    (a,) = q.take()
    q.run(finish(q.name, [ended(a, Verb.DONE, then=(q.follower("f1"), q.follower("f2")))], time.time()))
    assert q.look().entries == [], "the courier has some seconds"
    q.age(6)
    entries = q.look().entries
    assert {entry.follower.id for entry in entries} == {"f1", "f2"}
    assert q.look().entries == [], "somebody has it in hand"
    q.age(6)
    assert q.run(confirm(q.name, [entries[0].name])) == 1
    assert q.run(confirm(q.name, [entries[0].name])) == 0, "once more changes nothing"
    q.age(6)
    assert [entry.name for entry in q.look().entries] == [entries[1].name]
    q.run(confirm(q.name, [entries[1].name]))
    assert q.call("EXISTS", q.keys.outbox, q.keys.outbox_at) == 0


def test_what_is_for_a_queue_that_is_away_keeps_nothing_else_back(q: Outbox) -> None:
    """Thousands of followers for a dead node lie there before the one that could be delivered."""
    q.add("a", "b")
    a, b = q.take()
    for taken, then in ((a, [q.follower(str(number)) for number in range(BATCH)]), (b, None)):
        then = then or [q.follower("reachable", queue=f"{q.other}-2")]
        q.run(finish(q.name, [ended(taken, Verb.DONE, then=tuple(then))], time.time()))
    q.age(6)
    q.call("ZADD", q.keys.outbox_at, time.time() - 5.5, q.names()[-1])
    away = [(q.other, 30.0)]
    found = [q.look(away), q.look(away)]
    assert [one.looked_at for one in found] == [BATCH, 1]
    assert [entry.follower.id for one in found for entry in one.entries] == ["reachable"]
    score = float(q.call("ZRANGE", q.keys.outbox_at, -1, -1, "WITHSCORES")[1])
    assert 20 < score + 5 - time.time() <= 31, "looked at again when the queue may be back"


def test_a_time_of_nothing_is_dropped(q: Outbox) -> None:
    q.call("ZADD", q.keys.outbox_at, 1, f"{q.other}\0t\0000\0a")
    assert q.look().entries == []
    assert q.names() == []


def test_a_queue_with_undelivered_followers_is_not_removed_silently(q: Outbox) -> None:
    q.add("a")
    (a,) = q.take()
    q.run(finish(q.name, [ended(a, Verb.DONE, then=(q.follower("f1"), q.follower("f2")))], time.time()))
    step = q.run(remove_step(q.name, force=False))
    assert (step.outcome, step.left) == (Emptied.HAS_FOLLOWERS, 2)
    assert q.run(remove_keys(q.name, [q.keys.outbox.encode()])) == -1
    assert len(q.names()) == 2
    assert q.run(remove_step(q.name, force=True)).outcome is Emptied.GO_ON
    assert q.names() == []


def test_the_attempt_that_failed_is_among_the_facts(q: Outbox) -> None:
    """A line of JSON, in two parts: the second is the traceback, and this one has none."""
    q.add("a")
    (a,) = q.take()
    item = ended(a, Verb.RETRY, message=a.message, delay=9, attempt=AttemptRecord(5.0, 1.5, "ValueError"))
    command = finish(q.name, [item], time.time(), "host:1:x")
    facts = next(word for word in command.args if isinstance(word, bytes) and b"token" in word)
    start, rest = msgspec.msgpack.decode(facts)["attempt"]
    assert msgspec.json.decode(start + rest) == {
        "at": 5.0, "seconds": 1.5, "worker": "host:1:x", "type": "ValueError", "module": "", "text": "",
    }  # fmt: skip
    assert q.run(command) == [Written.WRITTEN]
    assert q.state("a") == "retry"


def test_the_keys_of_a_queue_name_the_outbox() -> None:
    keys = queue_keys("shop")
    assert (keys.outbox, keys.outbox_at) == ("taskflow:{shop}:outbox", "taskflow:{shop}:outbox:at")
    assert keys.once("f") == "taskflow:{shop}:once:f"
