"""What every script of ours does to a queue, in plain Python, written from what it is to do and not from its Lua.

Each method changes the store and returns the reply that the command must give.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from taskflow.broker.commands.admin import Swept
from taskflow.broker.commands.aggregate import Waiting
from taskflow.broker.commands.dequeue import LEASE_SECONDS, Extended, Taken
from taskflow.broker.commands.enqueue import EnqueueReply, NewTask
from taskflow.broker.commands.finish import Written
from taskflow.broker.commands.maintenance import FOREIGN_GRACE
from taskflow.broker.commands.outbox import ONCE_SECONDS, entries_of
from taskflow.broker.commands.sweep import Reclaimed
from taskflow.broker.keys import day_of, queue_keys
from taskflow.broker.words import Cancel, Cancelled, Delivered, Enqueued, Joined, Moved, Refused
from taskflow.message.outcome import FollowUp, Outcome, is_plain
from taskflow.message.task_message import TaskMessage
from taskflow.states import State, Verb
from tests.properties import cancels
from tests.properties.store import About, Store

T = TypeVar("T")

Item = tuple[Taken, Outcome]
"""A task that somebody took, and how the attempt at it ended."""

NINETY_DAYS = 90 * 86400
NOTED_SECONDS = 60
"""How long the server remembers what a dequeue brought, and what an order by hand replied."""
DUE_SECONDS = 7200
"""How long the exact times of tasks that are due within an hour are kept after the last one was written."""
LONG_AGO = b"1"
OF_OLD = ["owner", "receipt", "cancel", "expires"]
"""What an order to run a task takes away."""
STATE_AFTER = {
    Verb.COMPLETE: "completed",
    Verb.RETRY: "retry",
    Verb.SNOOZE: "scheduled",
    Verb.ARCHIVE: "archived",
    Verb.ARCHIVE_RAW: "archived",
    Verb.REQUEUE: "pending",
    Verb.REQUEUE_CRASHED: "pending",
    Verb.PUT_BACK: "scheduled",
}


def seconds() -> About:
    """The server's time of now, as a score."""
    return About(time.time())


def nanoseconds() -> About:
    """The same, as `pending_since` has it."""
    return About(time.time(), unit=1e9)


def our_lease() -> About:
    """The score of a lease that one of ours has now: it is told from Go's by not being a whole second."""
    return _Between(time.time() + LEASE_SECONDS)


class Model:
    """One queue."""

    def __init__(self, queue: str) -> None:
        self.name = queue
        self.keys = queue_keys(queue)
        self.store = Store()
        self._records: dict[str, tuple[str, list[str]]] = {}
        """What each owner's last dequeue that brought anything was called, and what it brought."""
        self.followers: dict[str, FollowUp] = {}
        """What the outbox has, by name."""
        self._answers: dict[str, Any] = {}
        """What orders by hand that changed anything have replied."""

    # --- looking -----------------------------------------------------------------------------------------------------

    def task(self, task_id: str) -> dict[str, Any]:
        return self.store.hash(self.keys.task(task_id))

    def state(self, task_id: str) -> str:
        """A task's state; empty: there is none of this id."""
        fields = self.task(task_id)
        return fields["state"].decode() if "msg" in fields else ""

    def message(self, task_id: str) -> TaskMessage:
        return TaskMessage.decode(self.task(task_id)["msg"])

    def ids(self, *states: str) -> list[str]:
        """The tasks in these states, in a fixed order."""
        prefix = self.keys.task_prefix
        found = [key.removeprefix(prefix) for key in self.store.keys if key.startswith(prefix)]
        return sorted(one for one in found if self.state(one) in states)

    def holds(self, task_id: str, owner: str) -> bool:
        fields = self.task(task_id)
        return fields.get("state") == b"active" and fields.get("owner") == owner.encode() and "msg" in fields

    def is_taken(self, task_id: str, token: str = "") -> bool:
        """Whether one of ours holds it (by this lease token), and Go has not taken it since, which leaves our fields."""
        fields = self.task(task_id)
        if fields.get("state") != b"active" or "msg" not in fields or "receipt" not in fields:
            return False
        ends = self.store.scores(self.keys.lease)[task_id]
        is_ours = isinstance(ends, _Between) or float(ends) % 1 > 0
        return is_ours and token in ("", fields["receipt"].decode())

    def group_keys(self) -> list[str]:
        """The keys of aggregation groups and of sets."""
        return sorted(key for key in self.store.keys if key.startswith(self.keys.group("")))

    def set_of(self, task_id: str) -> str | None:
        """The aggregation set that a task is in."""
        for key in self.store.ranked(self.keys.aggregation_sets):
            if task_id in self.store.scores(key):
                return key
        return None

    # --- shared steps ------------------------------------------------------------------------------------------------

    def _mark(self, task_id: str, *pairs: Any, without: Sequence[str] = ()) -> None:
        task = self.keys.task(task_id)
        self.store.hset(task, *pairs)
        self.store.hdel(task, *without)

    def _delete(self, task_id: str) -> bool:
        return self.store.delete(self.keys.task(task_id))

    def _leave_active(self, task_id: str) -> None:
        self.store.run("LREM", self.keys.active, -1, task_id)
        self.store.run("ZREM", self.keys.lease, task_id)

    def _later(self, key: str, at: float, task_id: str) -> None:
        """Among what waits for its time: at the whole second for Go, at the exact time for us."""
        self.store.zadd(key, About(at), task_id)
        if at != int(at):  # else the score says it exactly
            self.store.zadd(self.keys.due, About(at), task_id)
            self.store.expireat(self.keys.due, time.time() + DUE_SECONDS)

    def _wait_at_the_end(self, ids: Sequence[str]) -> None:
        if ids:
            self.store.lpush(self.keys.pending, *ids)

    def _leave_group(self, task_id: str) -> bool:
        """Out of the group that its hash names; False: it is not there."""
        name = self.task(task_id).get("group", b"").decode()
        key = self.keys.group(name)
        if not name or not self.store.run("ZREM", key, task_id):
            return False
        if not self.store.has(key):
            self.store.run("SREM", self.keys.groups, name)
        return True

    def _count(self, processed: int, failed: int, now: float) -> None:
        totals = ((self.keys.processed, processed), (self.keys.failed, failed))
        for total, count in totals:
            if count:
                self.store.incrby(total, count)
                day = f"{total}:{day_of(now)}"
                if self.store.incrby(day, count) == count:
                    self.store.expireat(day, time.time() + NINETY_DAYS)

    def release_lock(self, task_id: str, lock: str | None = None) -> None:
        """Delete the lock of a task, if the task owns it."""
        fields = self.task(task_id)
        lock = lock or fields.get("unique_key", b"").decode()
        if not lock and "msg" in fields:
            lock = TaskMessage.decode(fields["msg"]).unique_key
        if lock and self.store.keys.get(lock) == task_id.encode():
            self.store.delete(lock)

    # --- enqueue -----------------------------------------------------------------------------------------------------

    def enqueue(self, tasks: Sequence[NewTask], *, resent: bool = False) -> list[EnqueueReply]:
        waiting: list[str] = []
        replies = [self._enqueue(task, waiting, resent) for task in tasks]
        self._wait_at_the_end(waiting)
        return replies

    def _enqueue(self, new: NewTask, waiting: list[str], resent: bool) -> EnqueueReply:
        message, task_id = new.message, new.message.id
        known = self.task(task_id)
        if known:
            if resent and "msg" in known and _identity(known["msg"]) == _identity(message.encode()):
                return EnqueueReply(Enqueued.ALREADY_THERE)
            return EnqueueReply(Enqueued.ID_TAKEN)
        now = time.time()
        terms = new.terms
        due = now + terms.delay if terms.delay is not None else terms.process_at or 0.0
        later = due > now
        if terms.lock_seconds:
            holder = self.store.keys.get(message.unique_key)
            if holder is None:
                self.store.set(message.unique_key, task_id)
                self.store.expireat(
                    message.unique_key, now + terms.lock_seconds + (due - now if later else 0)
                )
            elif holder != task_id.encode():
                return EnqueueReply(Enqueued.DUPLICATE, holder.decode())
        self._mark(task_id, "msg", message.encode())
        if terms.lock_seconds:
            self._mark(task_id, "unique_key", message.unique_key)
        if later:
            self._mark(task_id, "state", "scheduled")
            self._later(self.keys.scheduled, due, task_id)
        elif message.group_key:
            self._mark(task_id, "state", "aggregating", "group", message.group_key)
            self.store.zadd(self.keys.group(message.group_key), seconds(), task_id)
            self.store.sadd(self.keys.groups, message.group_key)
        else:
            self._mark(task_id, "state", "pending", "pending_since", nanoseconds())
            waiting.append(task_id)
        return EnqueueReply(Enqueued.CREATED)

    # --- taking ------------------------------------------------------------------------------------------------------

    def dequeue(self, owner: str, token: str, count: int, *, resent: bool = False) -> list[Taken]:
        before, ids = self._records.get(owner, ("", []))
        if resent:
            ids = ids if before == token else []
            return [self._taken(one) for one in ids if self.is_taken(one, token)]
        if self.store.has(self.keys.paused):
            return []
        popped = [one for _ in range(count) if (one := self.store.run("RPOP", self.keys.pending)) is not None]
        ids = [one for one in popped if not self._is_left_to_others(one)]
        if aside := [one for one in popped if one not in ids]:
            self.store.lpush(self.keys.pending, *aside)
        for task_id in ids:
            self._mark(task_id, "state", "active", "owner", owner, "receipt", token)
            self.store.zadd(self.keys.lease, our_lease(), task_id)
        if ids:
            self.store.lpush(self.keys.active, *ids)
            taken = self.keys.taken_by(owner)
            self.store.keys[taken] = ANYTHING
            self.store.expireat(taken, time.time() + NOTED_SECONDS)
            self._records[owner] = (token, ids)
        return [self._taken(task_id) for task_id in ids]

    def _is_left_to_others(self, task_id: str) -> bool:
        """Nobody of ours knew its name, a moment ago. (The machines have a grace that does not end while they run.)"""
        fields = self.task(task_id)
        since = fields.get("pending_since")
        return (
            "unknown" in fields and since is not None and not (isinstance(since, bytes) and since == LONG_AGO)
        )

    def _taken(self, task_id: str) -> Taken:
        fields = self.task(task_id)
        first = fields.get("first_failed_at", 0)
        return Taken(
            task_id,
            fields["msg"],
            fields["receipt"].decode(),
            int(fields.get("crashes", 0)),
            int(fields.get("recoveries", 0)),
            round(first.value) if isinstance(first, About) else int(first),
            float(fields.get("expires", 0)),
        )

    def held(self, owner: str) -> list[Taken]:
        return [
            self._taken(one)
            for one in self.store.elements(self.keys.active)
            if self.holds(one, owner) and self.is_taken(one)
        ]

    def extend(self, tasks: Sequence[tuple[str, str]]) -> Extended:
        """Returns what is not held any more, and what is cancelled."""
        found = Extended([], {})
        for task_id, token in tasks:
            if self.is_taken(task_id, token):
                self.store.zadd(self.keys.lease, our_lease(), task_id)
                if (mark := self.task(task_id).get("cancel")) is not None:
                    found.cancelled[task_id] = float(mark) if mark else None
            else:
                found.lost.append(task_id)
        return found

    # --- finishing ---------------------------------------------------------------------------------------------------

    def finish(
        self, items: Sequence[Item], now: float, *, bare: int = 0, resent: bool = False
    ) -> list[Written]:
        """`bare`: so many of the last are given as tasks that are simply done, without an outcome."""
        counts = [0, 0]
        replies = {index: self._finish(items[index], counts, resent) for index in _order(items, bare)}
        self._count(*counts, now)
        return [replies[index] for index in range(len(items))]

    def _finish(self, item: Item, counts: list[int], resent: bool) -> Written:
        taken, verdict = item
        task_id, verb = taken.id, Verb(verdict.verb)
        if not self.is_taken(task_id, taken.lease_token):
            return self._written_before(task_id, verdict) if resent else Written.REFUSED
        self._leave_active(task_id)
        if cancels.is_cancelled(self, task_id, verb):
            if verdict.attempt is not None:
                self._mark(task_id, "attempts", ANYTHING)
            cancels.archive(self, task_id, verdict.message, seconds())
            counts[0], counts[1] = counts[0] + 1, counts[1] + 1
            return Written.CANCELLED
        if verb in (Verb.DONE, Verb.COMPLETE, Verb.ARCHIVE) and verdict.lock:
            self.release_lock(task_id, verdict.lock)
        counts[0] += verb in (Verb.DONE, Verb.COMPLETE, Verb.RETRY, Verb.ARCHIVE, Verb.ARCHIVE_RAW)
        counts[1] += verb in (Verb.RETRY, Verb.ARCHIVE, Verb.ARCHIVE_RAW)
        self._put_into_outbox(item)
        if verb is Verb.DONE:
            self._delete(task_id)
            return Written.WRITTEN
        kept = {"pending_since"} if verb in (Verb.REQUEUE, Verb.REQUEUE_CRASHED) else set()
        without = sorted({"owner", "receipt", "pending_since", "cancel", "expires"} - kept)
        self._mark(task_id, "state", STATE_AFTER[verb], without=without)
        if verdict.message:
            self._mark(task_id, "msg", verdict.message)
        if verdict.result:
            self._mark(task_id, "result", verdict.result)
        self._settle(task_id, verdict)
        return Written.WRITTEN

    # --- followers ---------------------------------------------------------------------------------------------------

    def _put_into_outbox(self, item: Item) -> None:
        for entry in entries_of(*item):
            self.followers[entry.name] = entry.follower
            self.store.hset(self.keys.outbox, entry.name, ANYTHING)
            self.store.zadd(self.keys.outbox_at, seconds(), entry.name)

    def deliver(self, followers: Sequence[FollowUp]) -> list[Delivered]:
        waiting: list[str] = []
        replies = [self._deliver(one, waiting) for one in followers]
        self._wait_at_the_end(waiting)
        return replies

    def _deliver(self, follower: FollowUp, waiting: list[str]) -> Delivered:
        marker = self.keys.once(follower.id)
        if self.store.has(self.keys.task(follower.id)) or self.store.has(marker):
            return Delivered.ALREADY_THERE
        self.store.set(marker, b"1")
        self.store.expireat(marker, time.time() + ONCE_SECONDS)
        if follower.at > time.time():
            self._mark(follower.id, "msg", follower.message, "state", "scheduled")
            self._later(self.keys.scheduled, follower.at, follower.id)
        else:
            self._mark(
                follower.id, "msg", follower.message, "state", "pending", "pending_since", nanoseconds()
            )
            waiting.append(follower.id)
        return Delivered.DELIVERED

    def confirm(self, names: Sequence[str]) -> int:
        for name in names:
            self.store.run("ZREM", self.keys.outbox_at, name)
            self.store.run("HDEL", self.keys.outbox, name)
        return sum(self.followers.pop(name, None) is not None for name in names)

    def overdue(self) -> set[str]:
        """With no time at all everything is overdue."""
        for name in self.store.scores(self.keys.outbox_at):
            self.store.zadd(self.keys.outbox_at, seconds(), name)
        return set(self.followers)

    def _settle(self, task_id: str, verdict: Outcome) -> None:
        task = self.keys.task(task_id)
        if verdict.attempt is not None:
            self._mark(task_id, "attempts", ANYTHING)
        at = time.time() + verdict.delay
        match Verb(verdict.verb):
            case Verb.COMPLETE:
                self.store.zadd(self.keys.completed, About(at), task_id)
            case Verb.RETRY:
                self._later(self.keys.retry, at, task_id)
                self.store.hsetnx(task, "first_failed_at", seconds())
            case Verb.SNOOZE:
                self._later(self.keys.scheduled, at, task_id)
                if verdict.number:
                    self.store.hincrby(task, "snoozes", 1)
                if verdict.lock and self.store.keys.get(verdict.lock) == task_id.encode():
                    self.store.expireat(verdict.lock, self.store.expiry[verdict.lock] + verdict.delay)
            case Verb.ARCHIVE | Verb.ARCHIVE_RAW:
                kept = verdict.failure_retention
                if kept == 0:
                    self._delete(task_id)
                    return
                early = 0 if kept is None else NINETY_DAYS - kept
                self.store.zadd(self.keys.archived, About(time.time() - early), task_id)
                if verdict.error:
                    self._mark(task_id, "error", verdict.error)
            case Verb.PUT_BACK:
                self._later(self.keys.scheduled, at, task_id)
                self.store.hincrby(task, "unknown", 1)
            case _:
                self.store.hsetnx(task, "pending_since", nanoseconds())
                self.store.rpush(self.keys.pending, task_id)
                if verdict.verb == Verb.REQUEUE_CRASHED:
                    self.store.hincrby(task, "crashes", 1)

    def _written_before(self, task_id: str, verdict: Outcome) -> Written:
        """Whether it looks as the first copy of the verdict has left it."""
        fields = self.task(task_id)
        if verdict.verb == Verb.DONE or verdict.failure_retention == 0:
            return Written.REFUSED if "state" in fields else Written.ALREADY_WRITTEN
        there = fields.get("state") == STATE_AFTER[Verb(verdict.verb)].encode() and "receipt" not in fields
        same = not verdict.message or fields.get("msg") == verdict.message
        ended = fields.get("state") == b"archived" and "receipt" not in fields
        if verdict.verb in cancels.GOES_ON and ended and fields.get("error") == Cancel.ERROR.value.encode():
            return Written.CANCELLED
        return Written.ALREADY_WRITTEN if there and same else Written.REFUSED

    # --- maintenance -------------------------------------------------------------------------------------------------

    def forward(self) -> int:
        now = time.time()
        waiting: list[str] = []
        looked_at = 0
        sources = {"scheduled": self.keys.scheduled, "retry": self.keys.retry}
        for task_id in self._due(self.keys.due, now):
            source = sources.get(self.state(task_id), "")
            second = math.ceil(float(self.store.scores(self.keys.due)[task_id]))
            if source and float(self.store.scores(source).get(task_id, 0)) == second:
                self._forward(source, task_id, waiting)
            self.store.run("ZREM", self.keys.due, task_id)
            looked_at += 1
        for source in sources.values():
            for task_id in self._due(source, now):
                self._forward(source, task_id, waiting)
                looked_at += 1
        self._wait_at_the_end(waiting)
        return looked_at

    def _due(self, key: str, now: float) -> list[str]:
        scores = self.store.scores(key)
        return [one for one in self.store.ranked(key) if float(scores[one]) <= now]

    def _forward(self, source: str, task_id: str, waiting: list[str]) -> None:
        group = self.task(task_id).get("group", b"").decode()
        if group:
            self._mark(task_id, "state", "aggregating")
            self.store.zadd(self.keys.group(group), seconds(), task_id)
            self.store.sadd(self.keys.groups, group)
        else:
            self._mark(task_id, "state", "pending", "pending_since", nanoseconds())
            waiting.append(task_id)
        self.store.run("ZREM", source, task_id)

    def recover(self) -> list[str]:
        now = time.time()
        recovered, gone = [], []
        for task_id in self.store.ranked(self.keys.lease):
            grace = 0 if self.is_taken(task_id) else FOREIGN_GRACE
            if self.store.scores(self.keys.lease)[task_id] + grace <= now:
                gone.append(task_id)
                if "cancel" in self.task(task_id):
                    cancels.archive(self, task_id, b"", seconds())
                    continue
                self.store.hsetnx(self.keys.task(task_id), "pending_since", nanoseconds())
                self.store.rpush(self.keys.pending, task_id)
                self.store.hincrby(self.keys.task(task_id), "recoveries", 1)
                self._mark(task_id, "state", "pending", "attempts", ANYTHING, without=["owner", "receipt"])
                recovered.append(task_id)
        for task_id in gone:
            self._leave_active(task_id)
        return recovered

    def expire(self) -> int:
        now = time.time()
        over = [
            one
            for one in self.store.ranked(self.keys.completed)
            if self.store.scores(self.keys.completed)[one] <= now
        ]
        for task_id in over:
            self._delete(task_id)
            self.store.run("ZREM", self.keys.completed, task_id)
        return len(over)

    def reclaim(self) -> Reclaimed:
        now = time.time()
        moved = sets = 0
        for key in self.store.ranked(self.keys.aggregation_sets):
            if self.store.scores(self.keys.aggregation_sets)[key] > now:
                continue
            group = key.rpartition(":")[0]
            name = group.removeprefix(self.keys.group(""))
            for task_id, score in list(self.store.scores(key).items()):
                self.store.zadd(group, score, task_id)
                self.store.sadd(self.keys.groups, name)
                self._mark(task_id, "state", "aggregating", "group", name)
                moved += 1
            self.store.delete(key)
            self.store.run("ZREM", self.keys.aggregation_sets, key)
            sets += 1
        return Reclaimed(moved, 0, sets, 0)

    # --- aggregation -------------------------------------------------------------------------------------------------

    def ripe(self, group: str, most: int) -> list[Waiting]:
        """With a grace of 0 a group is always ripe."""
        key = self.keys.group(group)
        if not self.store.has(key):
            self.store.run("SREM", self.keys.groups, group)
            return []
        return [Waiting(task_id, self.task(task_id)["msg"]) for task_id in self.store.ranked(key)[:most]]

    def join(
        self, group: str, message: TaskMessage, tasks: Sequence[Waiting], *, resent: bool = False
    ) -> Joined:
        ids = [one.id for one in tasks]
        key = self.keys.group(group)
        if self.store.has(self.keys.task(message.id)):
            return Joined.ALREADY_JOINED if resent else Joined.CHANGED
        if not set(ids) <= self.store.scores(key).keys():
            return Joined.CHANGED
        if any(self.task(one.id)["msg"] != one.message for one in tasks):
            return Joined.CHANGED
        self._mark(message.id, "msg", message.encode(), "state", "pending", "pending_since", nanoseconds())
        self._wait_at_the_end([message.id])
        for task_id in ids:
            self.release_lock(task_id)
            self.store.run("ZREM", key, task_id)
            self._delete(task_id)
        if not self.store.has(key):
            self.store.run("SREM", self.keys.groups, group)
        return Joined.JOINED

    def refuse(
        self, group: str, items: Sequence[tuple[Waiting, Outcome]], now: float, *, resent: bool = False
    ) -> list[Refused]:
        """Take out of a group what is not to be joined, if it is there as it was read; what became of each."""
        key = self.keys.group(group)
        replies = [self._refused(one, verdict, key, resent) for one, verdict in items]
        there = [
            (one.id, verdict)
            for (one, verdict), reply in zip(items, replies, strict=True)
            if reply is Refused.REFUSED
        ]
        for task_id, verdict in there:
            self.store.run("ZREM", key, task_id)
            if verdict.verb != Verb.PUT_BACK:
                self.release_lock(task_id)
            self._mark(task_id, "state", STATE_AFTER[Verb(verdict.verb)])
            if verdict.message:
                self._mark(task_id, "msg", verdict.message)
            self._settle(task_id, verdict)
        if not self.store.has(key):
            self.store.run("SREM", self.keys.groups, group)
        archived = sum(verdict.verb != Verb.PUT_BACK for _, verdict in there)
        self._count(archived, archived, now)
        return replies

    def _refused(self, read: Waiting, verdict: Outcome, key: str, resent: bool) -> Refused:
        """What is to become of one; sent again it may be as the first copy has left it."""
        fields = self.task(read.id)
        if read.id in self.store.scores(key):
            return Refused.REFUSED if fields["msg"] == read.message else Refused.CHANGED
        left = fields.get("state") == STATE_AFTER[Verb(verdict.verb)].encode()
        same = fields.get("msg") == (verdict.message or read.message)
        return Refused.ALREADY_REFUSED if resent and left and same else Refused.CHANGED

    # --- by hand -----------------------------------------------------------------------------------------------------

    def once(self, answer: str, do: Callable[[], T], changed: Callable[[T], bool]) -> T:
        """An order; sent again it gets the reply that was noted under `answer`, if there is one."""
        if answer not in self._answers:
            reply = do()
            if not changed(reply):
                return reply
            self._answers[answer] = reply
            self.store.keys[answer] = ANYTHING
            self.store.expireat(answer, time.time() + NOTED_SECONDS)
        return self._answers[answer]  # type: ignore[no-any-return]

    def run_tasks(self, ids: Sequence[str]) -> list[Moved]:
        waiting: list[str] = []
        replies = [self._run(task_id, waiting) for task_id in ids]
        self._wait_at_the_end(waiting)
        return replies

    def _run(self, task_id: str, waiting: list[str]) -> Moved:
        state = self.state(task_id)
        if not state:
            return Moved.NO_SUCH_TASK
        if state == "active":
            return Moved.IS_ACTIVE
        if state == "pending":
            return Moved.IS_THERE
        if state == "aggregating" and not self._leave_group(task_id) and self.set_of(task_id):
            return Moved.IS_BEING_AGGREGATED
        for name in ("scheduled", "retry", "archived", "completed"):
            self.store.run("ZREM", self.keys.state(name), task_id)
        self._mark(task_id, "state", "pending", "pending_since", nanoseconds(), without=OF_OLD)
        waiting.append(task_id)
        return Moved.MOVED

    def cancel(self, ids: Sequence[str], grace: float | None) -> list[Cancelled]:
        return cancels.cancel(self, ids, grace, seconds())

    def archive_tasks(self, ids: Sequence[str]) -> list[Moved]:
        return [self._archive(task_id) for task_id in ids]

    def _archive(self, task_id: str) -> Moved:
        state = self.state(task_id)
        if not state:
            return Moved.NO_SUCH_TASK
        if state == "active":
            return Moved.IS_ACTIVE
        if state == "archived":
            return Moved.IS_THERE
        if state == "completed":
            return Moved.IS_COMPLETED
        if state == "aggregating" and not self._leave_group(task_id) and self.set_of(task_id):
            return Moved.IS_BEING_AGGREGATED
        self._leave_waiting(task_id, state)
        self._to_archived(task_id)
        return Moved.MOVED

    def _leave_waiting(self, task_id: str, state: str) -> None:
        if state == "pending":
            self.store.run("LREM", self.keys.pending, 0, task_id)
        elif state != "aggregating":
            self.store.run("ZREM", self.keys.state(state), task_id)

    def _to_archived(self, task_id: str) -> None:
        self._mark(task_id, "state", "archived", without=["owner", "receipt", "pending_since"])
        self.store.zadd(self.keys.archived, seconds(), task_id)
        self.release_lock(task_id)

    def delete_tasks(self, ids: Sequence[str]) -> list[Moved]:
        return [self._remove(task_id) for task_id in ids]

    def _remove(self, task_id: str) -> Moved:
        state = self.state(task_id)
        if state == "active":
            return Moved.IS_ACTIVE
        if state == "aggregating" and not self._leave_group(task_id):
            key = self.set_of(task_id)
            if key:
                self.store.run("ZREM", key, task_id)
                if not self.store.has(key):
                    self.store.run("ZREM", self.keys.aggregation_sets, key)
        elif state:
            self._leave_waiting(task_id, state)
        self.release_lock(task_id)
        return Moved.MOVED if self._delete(task_id) else Moved.NO_SUCH_TASK

    def _all_of(self, state: State, group: str) -> tuple[str, list[str]]:
        """The key of a state (or group), and its tasks in the order in which they come up."""
        if state is State.PENDING:
            return self.keys.pending, list(reversed(self.store.elements(self.keys.pending)))
        key = self.keys.group(group) if state is State.AGGREGATING else self.keys.state(state.value)
        return key, self.store.ranked(key)

    def _emptied(self, key: str, group: str) -> None:
        self.store.delete(key)
        if group:
            self.store.run("SREM", self.keys.groups, group)

    def run_all(self, state: State, group: str = "") -> Swept:
        key, ids = self._all_of(state, group)
        for task_id in ids:
            self._mark(task_id, "state", "pending", "pending_since", nanoseconds(), without=OF_OLD)
        self._wait_at_the_end(ids)
        self._emptied(key, group)
        return Swept(len(ids), len(ids))

    def archive_all(self, state: State, group: str = "") -> Swept:
        key, ids = self._all_of(state, group)
        for task_id in ids:
            self._to_archived(task_id)
        self._emptied(key, group)
        return Swept(len(ids), len(ids))

    def delete_all(self, state: State, group: str = "") -> Swept:
        key, ids = self._all_of(state, group)
        for task_id in ids:
            self.release_lock(task_id)
            self._delete(task_id)
        self._emptied(key, group)
        return Swept(len(ids), len(ids))

    def pause(self) -> bool:
        if self.store.has(self.keys.paused):
            return False
        self.store.set(self.keys.paused, seconds())
        return True

    def resume(self) -> bool:
        return self.store.delete(self.keys.paused)


class _Between(About):
    """A time between two whole seconds."""

    def fits(self, actual: Any) -> bool:
        return super().fits(actual) and float(actual) % 1 > 0


class _Anything(About):
    def fits(self, actual: Any) -> bool:
        return True


ANYTHING = _Anything(0)
"""A value that only the scripts understand."""


def _identity(message: bytes) -> tuple[Any, ...]:
    """What never changes in a message."""
    decoded = TaskMessage.decode(message)
    return decoded.type, decoded.payload, decoded.id, decoded.queue


def _order(items: Sequence[Item], bare: int) -> list[int]:
    """In which order outcomes are written: what is simply done goes first, by the call that took it; what is given without an
    outcome comes after the others of these.
    """
    count = len(items)
    plain = [is_plain(outcome) for _, outcome in items]
    calls = [(index >= count - bare, items[index][0].lease_token) for index in range(count)]
    ranks = list(
        dict.fromkeys(
            sorted((calls[index] for index in range(count) if plain[index]), key=lambda one: one[0])
        )
    )
    return sorted(range(count), key=lambda index: ranks.index(calls[index]) if plain[index] else len(ranks))
