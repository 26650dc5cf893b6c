"""Sequences that hypothesis found while they still went wrong, one by one: each is a story with a moral."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from taskflow.broker.commands.admin import delete_tasks, run_tasks
from taskflow.broker.commands.aggregate import join, ripe
from taskflow.broker.commands.dequeue import Taken, dequeue, held
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import Written, finish
from taskflow.broker.words import Joined, Moved
from taskflow.message.task_message import TaskMessage
from taskflow.states import Verb
from tests.properties import gos
from tests.properties.model import Model
from tests.properties.place import Place
from tests.taking import ended


class Story:
    """One task `a` on a queue."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = place.name
        self.keys = place.keys
        message = TaskMessage(type="noop", payload=b"1", id="a", queue=place.name, max_retries=3, timeout=60)
        place.run(enqueue(place.name, [NewTask(message)]))

    def take(self, owner: str, token: str) -> list[Taken]:
        tasks: list[Taken] = self.place.run(dequeue(self.name, owner, token, 1)).tasks
        return tasks

    def go(self, act: Callable[[Model], list[gos.Words]]) -> None:
        """Let Go do something, with the queue as it is."""
        model = Model(self.name)
        model.store.keys = self.place.dump().values
        self.place.transaction(act(model))

    def let_pass(self, key: str, seconds: int) -> None:
        # Whose lease it is, its fraction says.
        fraction = (self.place.client.zscore(key, "a") or 0) % 1
        self.place.client.zadd(key, {"a": int(time.time()) - seconds + fraction})

    def is_taken_over_by_go(self) -> None:
        """Its Python worker stands still; Go recovers the task, and a Go worker takes it."""
        self.let_pass(self.keys.lease, 40)
        self.go(lambda model: gos.recover(model, "a", 10))
        self.let_pass(self.keys.retry, 1)
        self.go(lambda model: gos.forward(model, self.keys.retry))
        self.go(lambda model: gos.dequeue(model)[1])


@pytest.fixture
def story(place: Place) -> Story:
    return Story(place)


def test_a_hand_back_that_is_sent_again_does_not_take_away_what_was_taken_again(story: Story) -> None:
    """The reply of a hand-back is lost. The task stands in front, so the same worker takes it at once; then the hand-back is
    sent again, would find the owner and the message that it expects, and take the task away from whoever runs it.

    The lease token tells one taking from the next.
    """
    (taken,) = story.take("me", "first")
    command = finish(story.name, [ended(taken, Verb.REQUEUE)], time.time())
    assert story.place.run(command) == [Written.WRITTEN]
    assert [one.id for one in story.take("me", "second")] == ["a"]
    story.place.run(command, resent=True)
    assert story.place.dump().values[story.keys.task("a")]["state"] == b"active"


def test_a_crash_that_is_reported_again_counts_once(story: Story) -> None:
    """The same with a crash: three lost replies, and an innocent task is poison."""
    (taken,) = story.take("me", "first")
    command = finish(story.name, [ended(taken, Verb.REQUEUE_CRASHED)], time.time())
    story.place.run(command)
    story.take("me", "second")
    story.place.run(command, resent=True)
    assert story.place.dump().values[story.keys.task("a")]["crashes"] == b"1"


def test_a_worker_does_not_take_up_again_what_go_runs(story: Story) -> None:
    """A Python worker stood still; Go has recovered its task, and runs it. The task still names the Python worker as its
    owner, so after any lost reply that worker takes it up again, runs it beside Go, and its verdict counts.
    """
    story.take("me", "first")
    story.is_taken_over_by_go()
    assert story.place.run(held(story.name, "me")) == []


def test_a_dequeue_that_is_sent_again_does_not_bring_what_go_runs(story: Story) -> None:
    """The same, by the record of the worker's last dequeue."""
    story.take("me", "first")
    story.is_taken_over_by_go()
    again = dequeue(story.name, "me", "first", 1)
    assert story.place.run(again, resent=True).tasks == []


def test_a_task_that_is_named_twice_is_moved_once(story: Story) -> None:
    """`task run a a` puts it into pending twice."""
    story.place.client.delete(story.keys.pending)
    story.place.client.zadd(story.keys.scheduled, {"a": 2_000_000_000})
    story.place.client.hset(story.keys.task("a"), "state", "scheduled")
    assert story.place.run(run_tasks(story.name, ["a", "a"])) == [Moved.MOVED, Moved.IS_THERE]
    assert story.place.dump().values[story.keys.pending] == ["a"]


def test_a_join_does_not_swallow_a_task_that_it_has_not_read(story: Story) -> None:
    """Between the look at a group and the join a task is deleted, and another of its id enqueued: it is gone, and in no
    joined task.
    """
    place, name = story.place, story.name

    def message(payload: bytes) -> TaskMessage:
        return TaskMessage(type="noop", payload=payload, id="g", queue=name, group_key="red", timeout=60)

    place.run(enqueue(name, [NewTask(message(b"first"))]))
    found = place.run(ripe(name, "red", grace=0, max_delay=0, max_size=0))
    joined = TaskMessage(type="joined", payload=found[0].message, id="joined", queue=name, timeout=60)
    place.run(delete_tasks(name, ["g"]))
    place.run(enqueue(name, [NewTask(message(b"second"))]))
    assert place.run(join(name, "red", joined, found)) is Joined.CHANGED
