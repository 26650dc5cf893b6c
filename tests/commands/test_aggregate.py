"""One task takes the place of a group's, in one step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from taskflow.attempts import read_attempts
from taskflow.broker.command import Plain, same
from taskflow.broker.commands.aggregate import Waiting, group_names, join, refuse, ripe
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.broker.words import Joined, Refused
from taskflow.message import outcome
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage, unique_key
from taskflow.states import Verb
from tests.faults.lost import EveryReplyIsLostOnce
from tests.servers import Server

Run = Callable[[Any], Any]


class Groups:
    """A queue with a group."""

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name, self.keys = run, name, queue_keys(name)

    def call(self, *words: Any) -> Any:
        return self.run(Plain(words, same, self.keys.slot))

    def add(self, *ids: str, lock: str = "") -> None:
        tasks = [
            NewTask(
                TaskMessage(
                    type="t",
                    payload=b"{}",
                    id=one,
                    queue=self.name,
                    timeout=9,
                    group_key="g",
                    unique_key=lock,
                ),
                lock_seconds=60 if lock else 0,
            )
            for one in ids
        ]
        self.run(enqueue(self.name, tasks))

    def age(self, task_id: str, seconds: int) -> None:
        self.call("ZADD", self.keys.group("g"), int(time.time()) - seconds, task_id)

    def ripe(self, grace: int = 60, max_delay: int = 0, max_size: int = 0) -> list[str]:
        return [
            one.id
            for one in self.run(ripe(self.name, "g", grace=grace, max_delay=max_delay, max_size=max_size))
        ]

    def joined(self) -> TaskMessage:
        return TaskMessage(type="many", payload=b"{}", id="joined", queue=self.name, timeout=9)

    def read(self, *ids: str) -> list[Waiting]:
        return [Waiting(one, self.call("HGET", self.keys.task(one), "msg")) for one in ids]


@pytest.fixture
def groups(run: Run, queue: str) -> Groups:
    return Groups(run, queue)


def test_a_group_is_ripe_when_it_is_quiet_old_or_full(groups: Groups) -> None:
    groups.add("a", "b", "c")
    for task_id, age in (("a", 30), ("b", 20), ("c", 10)):
        groups.age(task_id, age)
    assert groups.ripe(grace=600) == []
    assert groups.ripe(grace=10) == ["a", "b", "c"]
    assert groups.ripe(max_delay=600) == []
    assert groups.ripe(max_delay=30) == ["a", "b", "c"]
    assert groups.ripe(max_size=4) == []
    assert groups.ripe(max_size=2) == ["a", "b"]
    assert groups.run(group_names(groups.name)) == ["g"]


def test_the_joined_task_takes_the_place_of_the_others_and_frees_their_locks(groups: Groups) -> None:
    lock = unique_key(groups.name, "t", b"{}")
    groups.add("a", lock=lock)
    groups.add("b", "c")
    command = join(groups.name, "g", groups.joined(), groups.read("a", "b"))
    assert groups.run(command) is Joined.JOINED
    assert groups.call("LRANGE", groups.keys.pending, 0, -1) == [b"joined"]
    assert groups.call("ZRANGE", groups.keys.group("g"), 0, -1) == [b"c"]
    assert groups.call("EXISTS", groups.keys.task("a"), groups.keys.task("b"), lock) == 0
    assert groups.call("SMEMBERS", groups.keys.groups) == [b"g"]
    assert groups.run(replace(command, args=[1, *command.args[1:]])) is Joined.ALREADY_JOINED
    assert groups.call("LLEN", groups.keys.pending) == 1


def test_nothing_is_joined_when_one_of_them_has_gone(groups: Groups) -> None:
    groups.add("a", "b")
    tasks = [*groups.read("a"), Waiting("gone", b"")]
    assert groups.run(join(groups.name, "g", groups.joined(), tasks)) is Joined.CHANGED
    assert groups.call("EXISTS", groups.keys.task("joined")) == 0
    assert groups.ripe(max_size=1) == ["a"]


def test_what_is_refused_leaves_the_group_as_it_would_leave_active(groups: Groups) -> None:
    """Archived with its reason and its lock free, or put back and in its group again later; the others stay where they are."""
    lock, now = unique_key(groups.name, "t", b"{}"), time.time()
    groups.add("a", lock=lock)
    groups.add("b", "c", "d")
    a, b, c = groups.read("a", "b", "c")
    items = [
        (
            a,
            outcome.archived(
                1,
                TaskMessage.decode(a.message),
                "unsigned: why",
                '{"type":"E"}',
                now,
                outcome.not_run("E", "unsigned: why", now),
            ),
        ),
        (b, Outcome(2, Verb.PUT_BACK, delay=5.0)),
        (c, outcome.archived_raw(3, "DecodeError", "no message", now)),
    ]
    command = refuse(groups.name, "g", items, now)
    assert groups.run(command) == [Refused.REFUSED] * 3
    assert groups.run(command) == [Refused.CHANGED] * 3  # another worker
    assert groups.run(command.again()) == [Refused.ALREADY_REFUSED] * 3  # after a lost reply
    state = [groups.call("HGET", groups.keys.task(one), "state") for one in "abcd"]
    assert state == [b"archived", b"scheduled", b"archived", b"aggregating"]
    assert groups.call("ZRANGE", groups.keys.group("g"), 0, -1) == [b"d"]
    assert groups.call("ZRANGE", groups.keys.archived, 0, -1) == [b"a", b"c"]
    assert groups.call("ZRANGE", groups.keys.scheduled, 0, -1) == [b"b"]
    assert groups.call("HGET", groups.keys.task("b"), "unknown") == b"1"
    kept = TaskMessage.decode(groups.call("HGET", groups.keys.task("a"), "msg"))
    assert (kept.error_msg, groups.call("HGET", groups.keys.task("a"), "error")) == (
        "unsigned: why",
        b'{"type":"E"}',
    )
    assert groups.call("HGET", groups.keys.task("c"), "msg") == c.message
    assert groups.call("EXISTS", lock) == 0
    assert [groups.call("GET", key) for key in (groups.keys.processed, groups.keys.failed)] == [b"2", b"2"]


def test_a_refusal_whose_reply_is_lost_is_made_once_and_says_that_it_was(valkey: Server, queue: str) -> None:
    """Its sender is not told that another worker was quicker, since then nobody would say what became of these tasks."""
    driver = EveryReplyIsLostOnce(valkey.url)
    broker = Broker(driver)
    groups = Groups(broker.run, queue)
    groups.add("a", "b")
    a, b = groups.read("a", "b")
    items = [
        (a, outcome.archived_raw(1, "DecodeError", "no message", time.time())),
        (b, Outcome(2, Verb.PUT_BACK, delay=60.0)),
    ]
    assert broker.run(refuse(queue, "g", items, time.time())) == [Refused.ALREADY_REFUSED] * 2
    assert len(driver.lost) == 2  # to enqueue, and to refuse
    assert [groups.call("HGET", groups.keys.task(one), "state") for one in "ab"] == [
        b"archived",
        b"scheduled",
    ]
    assert groups.call("HGET", groups.keys.task("b"), "unknown") == b"1"
    assert groups.call("GET", groups.keys.failed) == b"1"
    broker.close()


def test_what_is_another_task_by_now_is_not_refused(groups: Groups) -> None:
    groups.add("a")
    read = Waiting("a", b"what it was before")
    command = refuse(groups.name, "g", [(read, Outcome(1, Verb.PUT_BACK, delay=1.0))], time.time())
    assert groups.run(command) == [Refused.CHANGED]
    assert groups.run(command.again()) == [Refused.CHANGED]
    assert groups.ripe(max_size=1) == ["a"]


def test_the_last_one_that_is_refused_takes_the_groups_name_along(groups: Groups) -> None:
    groups.add("a")
    items = [(one, Outcome(1, Verb.PUT_BACK, delay=1.0)) for one in groups.read("a")]
    assert groups.run(refuse(groups.name, "g", items, time.time())) == [Refused.REFUSED]
    assert groups.run(group_names(groups.name)) == []


def test_a_group_that_is_empty_or_lists_a_ghost_is_tidied(groups: Groups) -> None:
    groups.add("a")
    groups.call("DEL", groups.keys.task("a"))
    groups.age("a", 100)
    assert groups.ripe() == []
    assert groups.call("ZRANGE", groups.keys.orphans, 0, -1) == [b"a"]
    assert groups.ripe() == []
    assert groups.run(group_names(groups.name)) == []


def test_a_refused_task_whose_failure_is_not_kept_is_gone_and_found_so_when_it_is_sent_again(
    groups: Groups,
) -> None:
    groups.add("a", "b")
    a, b = groups.read("a", "b")
    now = time.time()
    items = [
        (a, Outcome(1, Verb.ARCHIVE, a.message, error="why", failure_retention=0)),
        (b, Outcome(2, Verb.ARCHIVE, b.message, error="why", attempt=outcome.not_run("E", "why", now))),
    ]
    command = refuse(groups.name, "g", items, now, "host:1:x")
    assert groups.run(command) == [Refused.REFUSED] * 2
    assert groups.run(command.again()) == [Refused.ALREADY_REFUSED] * 2
    assert groups.call("ZRANGE", groups.keys.archived, 0, -1) == [b"b"]
    assert groups.call("EXISTS", groups.keys.task("a")) == 0
    (kept,) = read_attempts(groups.call("HGET", groups.keys.task("b"), "attempts"))
    assert (kept.kind, kept.text, kept.seconds, kept.worker) == ("E", "why", None, "host:1:x")
