"""Followers with a death after every step: each of an outcome that counted is enqueued once, of one that was refused never.

The steps are those of the worker's own courier and janitor. Each rule that it rests on is taken out once: a check must fail then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from taskflow.broker.commands.dequeue import Taken, dequeue
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import finish
from taskflow.broker.commands.maintenance import recover
from taskflow.broker.commands.outbox import Deliveries, Entry, put_there
from taskflow.broker.words import Delivered, Written
from taskflow.message.outcome import FollowUp
from taskflow.message.task_message import TaskMessage
from taskflow.states import Verb
from taskflow.worker.loops.courier import Courier
from tests.properties.followers import ALL_STEPS, courier_trip, janitor_round
from tests.properties.model import Item
from tests.properties.mutants import changed
from tests.properties.place import Place
from tests.taking import ended

STEPS = range(6)
"""Of a courier: nothing, the delivery, the index of queues, the confirmation, the end of two markers. A janitor looks first."""

DELIVERED = 2
"""The steps after which it has delivered, and confirmed nothing."""

PROGRESS = ("waits", "runs", "has run and is gone")
"""Of the followers, when somebody else comes and delivers them again."""


class Scene:
    """A task, and what follows it in the same queue.

    Args:
        place: the queue.
        courier: the worker's.
    """

    def __init__(self, place: Place, courier: type[Courier] = Courier) -> None:
        self.place = place
        self.kind = courier
        self.enqueued: Counter[str] = Counter()
        message = TaskMessage(type="noop", payload=b"1", id="led", queue=place.name, timeout=60)
        place.run(enqueue(place.name, [NewTask(message)]))

    def run(self, command: Any, *, resent: bool = False) -> Any:
        reply = self.place.run(command, resent=resent)
        if isinstance(reply, Deliveries):
            ids = command.args[2::3]
            self.enqueued.update(
                task_id for task_id, one in zip(ids, reply.replies, strict=True) if one is Delivered.DELIVERED
            )
        return reply

    def take(self, token: str, count: int = 1) -> list[Taken]:
        found: list[Taken] = self.place.run(dequeue(self.place.name, token, token, count)).tasks
        return found

    def lead(self, taken: Taken, *followers: str) -> Item:
        """The task ends well, and these follow."""
        then = []
        for one in followers:
            message = TaskMessage(type="noop", payload=b"1", id=one, queue=self.place.name, timeout=60)
            then.append(FollowUp(self.place.name, one, message.encode()))
        return ended(taken, Verb.DONE, then=tuple(then))

    def finish(self, *items: Item, resent: bool = False) -> list[Entry]:
        """Write outcomes; what the courier is given."""
        command = finish(self.place.name, items, time.time())
        return put_there(items, self.run(command, resent=resent))

    def deliver(self, entries: list[Entry], steps: int = ALL_STEPS) -> None:
        courier_trip(self.run, self.place.name, entries, steps, self.kind)

    def go_on(self, progress: str) -> None:
        """Let followers that are there come so far."""
        if progress == "waits":
            return
        taken = self.take("somebody", 10)
        if progress != "runs" and taken:
            self.finish(*(ended(one, Verb.DONE) for one in taken))

    def left(self) -> int:
        return int(self.place.client.hlen(self.place.keys.outbox))


def each_is_enqueued_once(place: Place, courier: type[Courier] = Courier) -> None:
    """A worker dies after every step, then another while it puts that right, then a third is left in peace."""
    for first in STEPS:
        for second in STEPS:
            for progress in PROGRESS:
                scene = Scene(place, courier)
                (taken,) = scene.take("worker")
                scene.deliver(scene.finish(scene.lead(taken, "f1", "f2")), first)
                scene.go_on(progress)
                janitor_round(scene.run, place.name, second)
                scene.go_on(progress)
                janitor_round(scene.run, place.name)
                what = f"died after {first} steps, then after {second}; what was there {progress}"
                assert scene.enqueued == {"f1": 1, "f2": 1}, what
                assert scene.left() == 0, what
                place.clear()


def what_is_refused_has_no_followers(place: Place, courier: type[Courier] = Courier) -> None:
    """A worker stands still; another one has taken its task over and ended it. Then the first comes back with its outcome."""
    for comes_back in ("while the other runs", "when the other is done"):
        for sent_again in (False, True):
            scene = Scene(place, courier)
            (late,) = scene.take("first")
            place.client.zadd(place.keys.lease, {"led": 1})
            place.run(recover(place.name))
            (taken,) = scene.take("second")
            if comes_back == "when the other is done":
                scene.deliver(scene.finish(scene.lead(taken, "of-the-second")))
            scene.deliver(scene.finish(scene.lead(late, "of-the-first"), resent=sent_again))
            if comes_back == "while the other runs":
                scene.deliver(scene.finish(scene.lead(taken, "of-the-second")))
            janitor_round(scene.run, place.name)
            assert scene.enqueued == {"of-the-second": 1}, f"{comes_back}, sent again: {sent_again}"
            assert scene.left() == 0
            place.clear()


def an_outbox_that_is_away_for_days_has_none_run_twice(
    place: Place, courier: type[Courier] = Courier
) -> None:
    """Its node is lost before the deliveries are confirmed. When it is back the followers have run, and are gone."""
    scene = Scene(place, courier)
    (taken,) = scene.take("worker")
    scene.deliver(scene.finish(scene.lead(taken, "f1", "f2")), DELIVERED)
    scene.go_on("has run and is gone")
    for marker in (place.keys.once("f1"), place.keys.once("f2")):
        place.client.expire(
            marker, place.client.ttl(marker) - 6 * 86400
        )  # or at once, when it has not so long to live
    janitor_round(scene.run, place.name)
    assert scene.enqueued == {"f1": 1, "f2": 1}
    assert scene.left() == 0
    place.clear()


Check = Callable[..., None]

CHECKS: tuple[Check, ...] = (
    each_is_enqueued_once,
    what_is_refused_has_no_followers,
    an_outbox_that_is_away_for_days_has_none_run_twice,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_followers_with_a_death_after_every_step(place: Place, check: Check) -> None:
    check(place)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_followers_with_a_death_after_every_step_on_a_cluster(cluster_place: Place, check: Check) -> None:
    check(cluster_place)


class HastyCourier(Courier):
    """Confirms what it has not delivered yet."""

    async def _deliver(self, queue: str) -> None:
        try:
            await self._confirm(list(self._waiting[queue]))
        except BaseException:
            del self._trips[queue], self._waiting[queue]
            raise
        await super()._deliver(queue)


SABOTAGE = {
    "a delivery looks for no marker": ("deliver", r"'EXISTS', task, marker\)", "'EXISTS', task)"),
    "a delivery leaves no marker": ("deliver", r"redis\.call\('SET', marker, '1', 'EX', once_seconds\)", ""),
    "a marker ends after a quarter of an hour": ("deliver", r"'EX', once_seconds", "'EX', 900"),
    "a delivery looks for no task": (
        "deliver",
        r"redis\.call\('EXISTS', task, marker\) > 0",
        "false",
    ),
    "an outcome that is refused has followers": (
        "finish",
        r"if holds\(facts\.token, fields\[1\], fields\[2\], call\('ZSCORE', lease, id\)\) then",
        "for index, _ in ipairs(followers) do\n"
        "  local name = ARGV[follower_arg + 2 * index - 2]\n"
        "  redis.call('ZADD', outbox_at, now, name)\n"
        "  redis.call('HSET', outbox, name, cmsgpack.pack({followers[index][1], followers[index][2], '0', "
        "ARGV[follower_arg + 2 * index - 1]}))\n"
        "end\n"
        "if holds(facts.token, fields[2], fields[3], call('ZSCORE', lease, id)) then",
    ),
    "an outcome puts nothing into the outbox": (
        "finish",
        r"redis\.call\('HSET', outbox, name, [^\n]*\n",
        "\n",
    ),
}


@pytest.mark.parametrize("rule", SABOTAGE)
def test_the_checks_fail_when_a_rule_is_taken_out_of_a_script(place: Place, rule: str) -> None:
    with changed(*SABOTAGE[rule]):
        assert _fails(place), f"nothing was noticed: {rule}"


def test_the_checks_fail_when_a_courier_confirms_before_it_delivers(place: Place) -> None:
    assert _fails(place, HastyCourier)


def test_the_checks_fail_when_a_courier_believes_that_what_is_written_is_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outcome that is sent again finds its task gone. That may be the doing of another worker, with followers of its own."""

    really = put_there

    def put_there_or_not(items: tuple[Item, ...], replies: list[Written]) -> list[Entry]:
        return really(items, [Written.WRITTEN if one is not Written.REFUSED else one for one in replies])

    monkeypatch.setitem(Scene.finish.__globals__, "put_there", put_there_or_not)
    assert _fails(place)


def _fails(place: Place, courier: type[Courier] = Courier) -> bool:
    failed = False
    for check in CHECKS:
        try:
            check(place, courier)
        except AssertionError:
            failed = True
        place.clear()
    return failed
