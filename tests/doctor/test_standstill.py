"""Nothing is broken, and tasks wait for ever: the doctor says so."""

from __future__ import annotations

import time

from taskflow.broker.commands.enqueue import publish_queues
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.inspector import Inspector
from taskflow.inspector.doctor.standstill import FORGOTTEN_SECONDS, UNDELIVERED_SECONDS
from taskflow.partitions import partition_names
from taskflow.states import State
from tests.inspector.ask import examine
from tests.inspector.stored import Stored


def codes(broker: Broker, *queues: str) -> list[str]:
    return [one.code for one in examine(broker, queues).findings if one.where.startswith("queue")]


def test_a_queue_of_which_gos_tools_have_paused_one_partition_is_found(stored: Stored) -> None:
    """Tasks went on to all partitions, one stood still, and the doctor said that all was well."""
    names = partition_names(stored.queue, 3)
    for name in names:
        stored.raw.set(queue_keys(name).processed, 1)
    stored.broker.run(publish_queues(names))
    assert codes(stored.broker, *names) == []
    stored.raw.set(queue_keys(names[0]).paused, int(time.time()))
    (finding,) = [one for one in examine(stored.broker, names).findings if one.code == "partly-paused"]
    assert (finding.where, finding.count, finding.examples) == (f"queue {stored.queue!r}", 1, (names[0],))
    assert f"taskflow queue resume {stored.queue}" in finding.remedy
    inspector = Inspector(stored.broker)
    inspector.pause(stored.queue)
    assert codes(stored.broker, *names) == [], "all of it is paused: somebody wants that"
    inspector.resume(stored.queue)
    assert codes(stored.broker, *names) == []
    stored.raw.delete(*(queue_keys(name).processed for name in names))
    stored.raw.srem("asynq:queues", *names)


def test_a_group_that_nobody_joins_is_found_when_it_has_been_quiet_for_long(stored: Stored) -> None:
    """`group=` on a queue without a rule waited for ever, and nobody said so."""
    stored.put(State.AGGREGATING, "t")
    assert codes(stored.broker, stored.queue) == []
    stored.raw.zadd(stored.keys.group("g1"), {"t": int(time.time()) - FORGOTTEN_SECONDS - 5})
    assert codes(stored.broker, stored.queue) == ["forgotten-group"]


def test_followers_that_no_worker_tries_to_deliver_are_found(stored: Stored) -> None:
    """Their task has ended, so nothing else says that anything is missing."""
    name = "mail\0token\0000\0id"
    stored.raw.hset(stored.keys.outbox, name, b"follower")
    stored.raw.zadd(stored.keys.outbox_at, {name: time.time() - 10})
    assert codes(stored.broker, stored.queue) == [], "workers look at it every few seconds"
    stored.raw.zadd(stored.keys.outbox_at, {name: time.time() - UNDELIVERED_SECONDS - 5})
    (finding,) = [one for one in examine(stored.broker, [stored.queue]).findings if one.where.startswith("q")]
    assert (finding.code, finding.count, finding.examples) == ("undelivered-followers", 1, ("mail",))
