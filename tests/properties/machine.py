"""One queue under random operations of Python's and Go's clients, workers and inspectors, and of whoever dies in between.

After every operation the reply must be the model's, everything that is stored must be the model's, and the invariants must
hold of it. The reply of any command may get lost: its sender then knows nothing, and may send it again, at any later point.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from taskflow.broker.command import Command
from taskflow.broker.commands import admin, aggregate, maintenance, queues, sweep
from taskflow.broker.commands.aggregate import Waiting
from taskflow.broker.commands.cancel import cancel
from taskflow.broker.commands.dequeue import Taken, dequeue, extend, held
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import Written, finish
from taskflow.broker.walk import Walk
from taskflow.broker.words import Cancelled, Joined, Moved
from taskflow.message.outcome import Outcome, is_plain, not_run
from taskflow.message.task_message import TaskMessage, unique_key
from taskflow.states import State, Verb
from tests.properties import gos
from tests.properties.followers import Following
from tests.properties.invariants import problems
from tests.properties.model import LONG_AGO, Item, Model
from tests.properties.place import Place
from tests.taking import ended

IDS = ("a", "b", "c", "d", "e")
GROUPS = ("red", "blue")
LOCK_SECONDS = 3600
LONGEST = 20.0
"""Seconds of one example at most: its leases must not end by themselves."""

ids = st.sampled_from(IDS)
some_ids = st.lists(ids, min_size=1, max_size=3)
groups = st.sampled_from(GROUPS)
owners = st.integers(0, 1)
lost = st.booleans()
verbs = st.sampled_from([*Verb, Verb.DONE, Verb.DONE])
refusals = st.sampled_from([Verb.PUT_BACK, Verb.ARCHIVE, Verb.ARCHIVE_RAW, None])
verdicts = st.lists(refusals, min_size=3, max_size=3)
"""What becomes of members of a group; None: it is to be joined."""
leads = st.sampled_from([0, 0, 1, 2])
"""How many followers a task has that ends well."""
RUNNABLE = (State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED, State.AGGREGATING)
ARCHIVABLE = (State.PENDING, State.SCHEDULED, State.RETRY, State.AGGREGATING)
DELETABLE = (*ARCHIVABLE, State.ARCHIVED, State.COMPLETED)


@st.composite
def new_tasks(draw: st.DrawFn) -> dict[str, Any]:
    """A task that somebody enqueues, without its queue."""
    return {
        "id": draw(ids),
        "payload": draw(st.sampled_from([b"1", b"2"])),
        "when": draw(st.sampled_from(["now", "now", "now", "past", "later"])),
        "group": draw(st.sampled_from(["", "", "", *GROUPS])),
        "unique": draw(st.sampled_from([False, False, True])),
        "max_retries": draw(st.sampled_from([0, 3])),
    }


@dataclass
class Sent:
    """A command that was sent, how the model does it once more, and what of it the first copy wrote."""

    command: Command[Any]
    again: Callable[[], Any]
    owner: str = ""
    written: list[bool] = field(default_factory=list)
    items: Sequence[Item] = ()


@dataclass
class Hand:
    """A task that a worker believes to hold; `take` numbers the takings."""

    taken: Taken
    take: int


class Queue(Following, RuleBasedStateMachine):
    """Python alone: its clients, workers and inspectors.

    Args:
        place: where the queue is.
    """

    HAS_GO = False

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.model = Model(place.name)
        self.keys = place.keys
        self.sent: list[Sent] = []
        self.joins: list[tuple[str, list[Waiting], TaskMessage]] = []
        """Groups that somebody has looked at and not joined yet."""
        self.hands: dict[str, list[Hand]] = {}
        self.holder: dict[str, tuple[str, int]] = {}
        """Who really runs each active task: the owner (or `go`) and the number of the taking."""
        self.takes = 0
        self.names = 0
        self.owners = [self._name(), self._name()]
        self.owned: set[str] = set()
        self.locked: set[str] = set()
        self.unlisted: set[str] = set()
        self.stubs: set[str] = set()
        self.follows()
        self.began = time.monotonic()

    def teardown(self) -> None:
        self.place.clear()

    def _name(self) -> str:
        self.names += 1
        name = f"p{self.names}"
        self.hands[name] = []
        return name

    # --- after every step --------------------------------------------------------------------------------------------

    @invariant()
    def is_as_the_model_says_and_consistent(self) -> None:
        dump = self.place.dump()
        different = self.model.store.differences(dump.values, dump.ttls, time.time())
        assert not different, "\n".join(different)
        self._note_leavings()
        found = problems(
            dump, self.keys, owned=self.owned, locked=self.locked, unlisted=self.unlisted, stubs=self.stubs
        )
        assert not found, "\n".join(found)

    def _note_leavings(self) -> None:
        """Forget who holds what is not active any more."""
        active = set(self.model.store.elements(self.keys.active))
        self.holder = {task_id: who for task_id, who in self.holder.items() if task_id in active}

    # --- clients -----------------------------------------------------------------------------------------------------

    def _message(self, new: dict[str, Any]) -> TaskMessage:
        lock = unique_key(self.place.name, "noop", new["payload"]) if new["unique"] else ""
        return TaskMessage(
            type="noop",
            payload=new["payload"],
            id=new["id"],
            queue=self.place.name,
            timeout=60,
            retention=500,
            max_retries=new["max_retries"],
            unique_key=lock,
            group_key=new["group"],
        )

    @rule(news=st.lists(new_tasks(), min_size=1, max_size=3), go=st.booleans())
    def tasks_are_enqueued(self, news: list[dict[str, Any]], go: bool) -> None:
        if go and self.HAS_GO:
            for new in news:
                self._go_enqueues(new)
        else:
            self._python_enqueues(news)

    def _go_enqueues(self, new: dict[str, Any]) -> None:
        message = self._message(new)
        at = int(time.time()) + 300 if new["when"] == "later" else 0
        seconds = LOCK_SECONDS if message.unique_key else 0
        self._both(gos.enqueue(self.model, message, at=at, lock_seconds=seconds))

    def _python_enqueues(self, news: list[dict[str, Any]]) -> None:
        tasks = []
        for new in news:
            message = self._message(new)
            at = {"now": None, "later": time.time() + 300, "past": time.time() - 5}[new["when"]]
            tasks.append(
                NewTask(message, process_at=at, lock_seconds=LOCK_SECONDS if message.unique_key else 0)
            )
        command = enqueue(self.place.name, tasks)
        self.sent.append(Sent(command, lambda: self.model.enqueue(tasks, resent=True)))
        self._same(self.place.run(command), self.model.enqueue(tasks))

    # --- workers -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.store.has(self.keys.pending))
    @rule(which=owners, count=st.integers(1, 3), lost=lost)
    def python_dequeues(self, which: int, count: int, lost: bool) -> None:
        owner, token = self.owners[which], uuid.uuid4().hex
        command = dequeue(self.place.name, owner, token, count)
        # Whether a few seconds have passed shall not depend on how fast the machine is: see `others_have_had_their_time`.
        command = replace(command, args=[*command.args[:-1], 86400])
        self.sent.append(Sent(command, lambda: self.model.dequeue(owner, token, count, resent=True), owner))
        reply = self.place.run(command)
        assert reply.paused == self.model.store.has(self.keys.paused)
        self._same(reply.tasks, self.model.dequeue(owner, token, count))
        self._take(owner, reply.tasks)
        if not lost:
            self._learn(owner, reply.tasks)

    def _take(self, owner: str, tasks: Sequence[Taken]) -> None:
        """They are this owner's from now on."""
        for taken in tasks:
            self.takes += 1
            self.holder[taken.id] = (owner, self.takes)
            self.owned.discard(taken.id)

    def _learn(self, owner: str, tasks: Sequence[Taken]) -> None:
        """The owner hears that it holds them; it must be true."""
        for taken in tasks:
            holder, take = self.holder[taken.id]
            assert holder == owner, f"{owner} is told that it holds {taken.id}, which {holder} has taken"
            self.hands[owner].append(Hand(taken, take))

    def _busy(self) -> list[str]:
        """The workers that believe to hold something."""
        return [owner for owner in self.owners if self.hands[owner]]

    @precondition(lambda self: self._busy())
    @rule(data=st.data(), bare=st.booleans(), lost=lost)
    def python_finishes(self, data: st.DataObject, bare: bool, lost: bool) -> None:
        """`bare`: of tasks that are simply done the call gets no outcome, as a worker sends most of them."""
        owner = data.draw(st.sampled_from(self._busy()))
        every = range(len(self.hands[owner]))
        picked = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=3, unique=True))
        hands = [self.hands[owner][index] for index in picked]
        items = [self._ended(hand.taken, data.draw(verbs), data.draw(leads)) for hand in hands]
        done = [item for item in items if bare and is_plain(item[1])]
        told = [item for item in items if item not in done]
        items, count = told + done, len(done)
        now = time.time()
        command = finish(self.place.name, told, now, done=[taken for taken, _ in done])
        again = partial(self.model.finish, items, now, bare=count, resent=True)
        sent = Sent(command, again, owner, items=items)
        self.sent.append(sent)
        self._note_raw(items)
        replies = self.place.run(command)
        self._same(replies, self.model.finish(items, now, bare=count))
        sent.written = [reply is Written.WRITTEN for reply in replies]
        self.counts(items, replies, lost=lost)
        if not lost:
            self.hands[owner] = [hand for hand in self.hands[owner] if hand not in hands]

    def _ended(self, taken: Taken, verb: Verb, followers: int) -> Item:
        message = TaskMessage.decode(taken.message)
        now = int(time.time())
        delay = {Verb.COMPLETE: 500, Verb.RETRY: 200, Verb.SNOOZE: 200, Verb.PUT_BACK: 200}.get(verb, 0)
        kept = b""
        if verb is Verb.COMPLETE:
            kept = replace(message, completed_at=now).encode()
        elif verb in (Verb.RETRY, Verb.SNOOZE, Verb.ARCHIVE):
            retried = message.retried + (verb is Verb.RETRY)
            kept = replace(message, retried=retried, error_msg="boom", last_failed_at=now).encode()
        result = b"1" if verb is Verb.COMPLETE else b""
        error = "why" if verb in (Verb.ARCHIVE, Verb.ARCHIVE_RAW) else ""
        then = self.new_followers(followers) if verb in (Verb.DONE, Verb.COMPLETE) else ()
        failing = verb in (Verb.RETRY, Verb.ARCHIVE, Verb.ARCHIVE_RAW, Verb.REQUEUE_CRASHED)
        # Of those that are archived every third says nothing, is not kept, is kept for a minute.
        kept_for = (None, 0, 60)[self.takes % 3] if verb is Verb.ARCHIVE else None
        return ended(
            taken,
            verb,
            number=int(verb is Verb.SNOOZE),
            message=kept,
            delay=delay,
            result=result,
            error=error,
            lock=message.unique_key,
            then=then,
            attempt=not_run("E", "boom", now) if failing else None,
            failure_retention=kept_for,
        )

    def _note_raw(self, items: Sequence[Item]) -> None:
        """What is archived as it is keeps its lock: nobody could read which."""
        for _, outcome in items:
            if outcome.verb == Verb.ARCHIVE_RAW and outcome.lock:
                self.locked.add(outcome.lock)

    @precondition(lambda self: self._busy())
    @rule(data=st.data())
    def python_extends(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(self._busy()))
        tasks = [hand.taken for hand in self.hands[owner]]
        known = self.model.extend([(one.id, one.lease_token) for one in tasks])
        self._same(self.place.run(extend(self.place.name, tasks)), known)

    @precondition(lambda self: self.model.store.has(self.keys.active))
    @rule(which=owners)
    def python_takes_up_again(self, which: int) -> None:
        """After a lost reply: what the server says that it holds, and it does not know of."""
        owner = self.owners[which]
        tasks = self.place.run(held(self.place.name, owner))
        self._same(tasks, self.model.held(owner))
        known = {(hand.taken.id, hand.taken.lease_token) for hand in self.hands[owner]}
        self._learn(owner, [taken for taken in tasks if (taken.id, taken.lease_token) not in known])

    @precondition(lambda self: self.model.store.has(self.keys.active))
    @rule(which=owners, dice=st.integers(0, 3))
    def python_worker_dies(self, which: int, dice: int) -> None:
        """Its leases end, and nobody of its name comes back."""
        if dice < 3:
            return
        owner = self.owners[which]
        held_by_it = [
            one for one in self.model.store.elements(self.keys.active) if self.model.holds(one, owner)
        ]
        self._let_pass(self.keys.lease, held_by_it, 1)
        self.owners[which] = self._name()
        self.sent = [one for one in self.sent if one.owner != owner]

    # --- sent again --------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), lost=lost)
    def a_command_is_sent_again(self, data: st.DataObject, lost: bool) -> None:
        """Its first reply got lost, and other things have happened since."""
        sent = self.sent[-1 - data.draw(st.integers(0, len(self.sent) - 1), label="how long ago")]
        before = dict(self.holder)
        reply = self.place.run(sent.command, resent=True)
        expected = sent.again()
        if sent.command.name == "dequeue":
            self._same(reply.tasks, expected)
            fresh = [taken for taken in reply.tasks if taken.id not in before]
            self._take(sent.owner, fresh)
            if not lost:
                known = {(hand.taken.id, hand.take) for hand in self.hands[sent.owner]}
                new = [taken for taken in reply.tasks if (taken.id, self.holder[taken.id][1]) not in known]
                self._learn(sent.owner, new)
        else:
            self._same(reply, expected)
        if sent.items:
            again = [reply is Written.WRITTEN for reply in reply]
            assert not any(first and second for first, second in zip(sent.written, again, strict=True)), (
                "a verdict that was written was written once more"
            )
            sent.written = [first or second for first, second in zip(sent.written, again, strict=True)]
            self.counts(sent.items, reply, lost=lost)

    # --- maintenance -------------------------------------------------------------------------------------------------

    @rule(which=st.sampled_from(["forward", "recover", "expire", "reclaim", "sweep"]))
    def python_maintains(self, which: str) -> None:
        name = self.place.name
        match which:
            case "forward":
                self._same(self.place.run(maintenance.forward(name)).moved, self.model.forward())
            case "recover":
                self._order(maintenance.recover(name), self.model.recover, bool)
            case "expire":
                self._same(self.place.run(maintenance.expire(name)), self.model.expire())
            case "reclaim":
                self._order(sweep.reclaim(name), self.model.reclaim, bool)
            case _:
                self._sweep()

    def _sweep(self) -> None:
        """Nothing is broken, so nothing is found."""
        walk = Walk(self.place.name)
        while not walk.rounds:
            found = self.place.run(walk.look())
            walk.take(found)
            left = [*found.doubtful, *found.broken, *found.empty_groups]
            assert left == [], found

    # --- aggregation -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.group_keys())
    @rule(
        data=st.data(),
        then=st.sampled_from(["join", "refuse", "refuse", "wait"]),
        verdicts=verdicts,
        lost=lost,
    )
    def python_looks_at_a_group(
        self, data: st.DataObject, then: str, verdicts: list[Verb | None], lost: bool
    ) -> None:
        """What it finds is joined or refused now, or when other things have happened."""
        listed = sorted(self.model.store.members(self.keys.groups))
        group, most = data.draw(st.sampled_from([*listed * 2, *GROUPS])), data.draw(st.integers(1, 3))
        found = self.place.run(aggregate.ripe(self.place.name, group, grace=0, max_delay=0, max_size=most))
        self._same(found, self.model.ripe(group, most))
        if found:
            self.names += 1
            joined = TaskMessage(
                type="joined", payload=b"", id=f"j{self.names}", queue=self.place.name, timeout=60
            )
            self.joins.append((group, found, joined))
            if then == "join":
                self._join(len(self.joins) - 1)
            elif then == "refuse":
                self._refuse(len(self.joins) - 1, verdicts, lost=lost)

    @precondition(lambda self: self.joins)
    @rule(data=st.data())
    def python_joins_a_group(self, data: st.DataObject) -> None:
        self._join(data.draw(st.integers(0, len(self.joins) - 1)))

    @precondition(lambda self: self.joins)
    @rule(data=st.data(), verdicts=verdicts, lost=lost)
    def python_refuses_some_of_a_group(
        self, data: st.DataObject, verdicts: list[Verb | None], lost: bool
    ) -> None:
        self._refuse(data.draw(st.integers(0, len(self.joins) - 1)), verdicts, lost=lost)

    def _refuse(self, index: int, verdicts: list[Verb | None], *, lost: bool) -> None:
        """What a child says of members that are not to be joined; the others are joined when other things have happened."""
        group, found, joined = self.joins[index]
        chosen = list(zip(found, verdicts, strict=False))
        items = [(one, self._refused(one, verb)) for one, verb in chosen if verb is not None]
        now = time.time()
        command = aggregate.refuse(self.place.name, group, items, now)
        sent = Sent(command, lambda: self.model.refuse(group, items, now, resent=True))
        self.sent.append(sent)
        self._same(self.place.run(command), self.model.refuse(group, items, now))
        if lost:
            self._same(self.place.run(command, resent=True), sent.again())
        rest = [one for one, verb in chosen if verb is None]
        self.joins[index : index + 1] = [(group, rest, joined)] if rest else []

    def _refused(self, waiting: Waiting, verb: Verb) -> Outcome:
        if verb is Verb.PUT_BACK:
            return Outcome(0, verb, delay=200)
        kept = b""
        if verb is Verb.ARCHIVE:
            kept = replace(TaskMessage.decode(waiting.message), error_msg="unsigned").encode()
        return Outcome(0, verb, message=kept, error="why", attempt=not_run("E", "why", time.time()))

    def _join(self, index: int) -> None:
        group, found, joined = self.joins.pop(index)
        unread = [
            waiting.id
            for waiting in found
            if self.model.task(waiting.id).get("msg", waiting.message) != waiting.message
        ]
        command = aggregate.join(self.place.name, group, joined, found)
        self.sent.append(Sent(command, lambda: self.model.join(group, joined, found, resent=True)))
        reply = self.place.run(command)
        self._same(reply, self.model.join(group, joined, found))
        assert reply is not Joined.JOINED or not unread, (
            f"{unread} were joined as they were, and not as they are"
        )

    # --- by hand -----------------------------------------------------------------------------------------------------

    @rule(which=st.sampled_from(["run", "archive", "delete"]), data=st.data(), whole=st.booleans())
    def python_moves(self, which: str, data: st.DataObject, whole: bool) -> None:
        if whole:
            self._move_a_state(
                which, *self._a_state(data, {"run": RUNNABLE, "archive": ARCHIVABLE}.get(which, DELETABLE))
            )
        else:
            self._move_tasks(which, data.draw(some_ids))

    def _move_tasks(self, which: str, ids: list[str]) -> None:
        build = {"run": admin.run_tasks, "archive": admin.archive_tasks, "delete": admin.delete_tasks}[which]
        do = {
            "run": self.model.run_tasks,
            "archive": self.model.archive_tasks,
            "delete": self.model.delete_tasks,
        }[which]
        command = build(self.place.name, ids)
        self._order(command, lambda: do(ids), lambda reply: Moved.MOVED in reply)

    @rule(ids=some_ids, grace=st.sampled_from([None, None, 2.5]))
    def python_cancels(self, ids: list[str], grace: float | None) -> None:
        ids = list(dict.fromkeys(ids))
        self._order(
            cancel(self.place.name, ids, grace),
            lambda: self.model.cancel(ids, grace),
            lambda reply: bool({Cancelled.ARCHIVED, Cancelled.ASKED} & {*reply}),
        )

    def _a_state(self, data: st.DataObject, states: Sequence[State]) -> tuple[State, str]:
        """A state, and the group that it needs. Rather one that has tasks."""
        filled = [state for state in states if self.model.ids(state.value)]
        state = data.draw(st.sampled_from(filled or states))
        return state, data.draw(groups) if state is State.AGGREGATING else ""

    def _move_a_state(self, which: str, state: State, group: str) -> None:
        build = {"run": admin.run_all, "archive": admin.archive_all, "delete": admin.delete_all}[which]
        do = {"run": self.model.run_all, "archive": self.model.archive_all, "delete": self.model.delete_all}[
            which
        ]
        command = build(self.place.name, state, group)
        self._order(command, lambda: do(state, group), lambda reply: reply.taken > 0)

    def _order(self, command: Command[Any], do: Callable[[], Any], changed: Callable[[Any], bool]) -> None:
        """What is sent again is told what its first copy did, and is not done once more."""
        answer = command.keys[0]
        self.sent.append(Sent(command, lambda: self.model.once(answer, do, changed)))
        self._same(self.place.run(command), self.model.once(answer, do, changed))

    @rule(dice=st.integers(0, 4))
    def the_queue_is_paused_or_resumed(self, dice: int) -> None:
        paused = self.model.store.has(self.keys.paused)
        if paused:
            self._order(queues.resume(self.place.name), self.model.resume, bool)
        elif dice == 4:
            for _ in range(2):
                self._order(queues.pause(self.place.name), self.model.pause, bool)

    # --- time --------------------------------------------------------------------------------------------------------

    def _timed(self) -> list[str]:
        """What waits for a time."""
        keys = self.keys
        timed = (keys.lease, keys.scheduled, keys.retry, keys.due, keys.completed, keys.aggregation_sets)
        locks = sorted(key for key in self.model.store.keys if key.startswith(keys.unique_prefix))
        return [key for key in timed if self.model.store.has(key)] + locks

    @precondition(lambda self: self._timed())
    @rule(data=st.data(), ago=st.sampled_from([1, 40]))
    def time_passes(self, data: st.DataObject, ago: int) -> None:
        """A lease ends: its worker stood still, or was cut off; it does not know, and may come back. Tasks become due, their
        retention is over, an aggregation takes too long, a lock ends.
        """
        key = data.draw(st.sampled_from(self._timed()))
        if key.startswith(self.keys.unique_prefix):
            self._both([("DEL", key)])
        else:
            members = st.sampled_from(self.model.store.ranked(key))
            self._let_pass(key, data.draw(st.lists(members, min_size=1, unique=True)), ago)

    def _left_to_others(self) -> list[str]:
        """What waits, and was put back because nobody knew its name."""
        return [one for one in self.model.ids("pending") if "unknown" in self.model.task(one)]

    @precondition(lambda self: self._left_to_others())
    @rule()
    def others_have_had_their_time(self) -> None:
        self._both(
            [("HSET", self.keys.task(one), "pending_since", LONG_AGO) for one in self._left_to_others()]
        )

    def _let_pass(self, key: str, members: Sequence[str], ago: int) -> None:
        at = int(time.time()) - ago
        # Whose lease it is, its fraction says.
        fractions = self.model.store.scores(key) if key == self.keys.lease else {}
        self._both([("ZADD", key, at + fractions.get(member, 0) % 1, member) for member in members])

    # ------------------------------------------------------------------------------------------------------------------

    def _same(self, actual: Any, expected: Any) -> None:
        assert actual == expected, f"the reply is {actual}, in the model {expected}"

    def _both(self, commands: Sequence[gos.Words]) -> None:
        """Run plain commands on the server, in one transaction, and in the model."""
        if commands:
            self.place.transaction(commands)
            for words in commands:
                self.model.store.run(*words)

    def _forget_stubs(self) -> None:
        self.stubs = {one for one in self.stubs if self.model.store.has(self.keys.task(one))}


class MixedQueue(Queue):
    """Python and Go together on one queue."""

    HAS_GO = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.go_hands: list[TaskMessage] = []

    def _note_leavings(self) -> None:
        """What Go does not tidy up; and what of it is gone by now."""
        super()._note_leavings()
        store = self.model.store
        prefix = self.keys.unique_prefix
        self.locked = {key for key in store.keys if key.startswith(prefix)}
        self.owned = {task_id for task_id in self.owned if "owner" in self.model.task(task_id)}
        listed = store.members(self.keys.groups)
        self.unlisted = {group for group in self.unlisted if group not in listed}
        self.stubs = {one for one in self.stubs if "msg" not in self.model.task(one) and self.model.task(one)}

    # --- Go's server -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.store.has(self.keys.pending))
    @rule(lost=lost)
    def go_dequeues(self, lost: bool) -> None:
        task_id, words = gos.dequeue(self.model)
        self._both(words)
        if task_id:
            self.takes += 1
            self.holder[task_id] = ("go", self.takes)
            if "owner" in self.model.task(task_id):
                self.owned.add(task_id)
            if not lost:
                self.go_hands.append(self.model.message(task_id))

    @precondition(lambda self: self.go_hands)
    @rule(data=st.data(), how=st.sampled_from(["done", "complete", "requeue", "retry", "archive"]))
    def go_finishes(self, data: st.DataObject, how: str) -> None:
        """Also late: it looks whether the task is active, not whose it is."""
        message = self.go_hands.pop(data.draw(st.integers(0, len(self.go_hands) - 1)))
        if not self.model.state(message.id):
            return  # its id is gone: `NOT FOUND`
        words = {
            "done": lambda: gos.done(self.model, message),
            "complete": lambda: gos.complete(self.model, message),
            "requeue": lambda: gos.requeue(self.model, message),
            "retry": lambda: gos.retry(self.model, message, 200, "go's error"),
            "archive": lambda: gos.archive(self.model, message, "go's error"),
        }[how]()
        self._note_owner(message.id)
        self._both(words)

    def _note_owner(self, task_id: str) -> None:
        if "owner" in self.model.task(task_id):
            self.owned.add(task_id)

    @rule(
        data=st.data(),
        which=st.sampled_from(["recover", "recover", "extend", "scheduled", "retry", "reclaim"]),
    )
    def go_maintains(self, data: st.DataObject, which: str) -> None:
        if which == "extend":
            self._both(gos.extend(self.model, [message.id for message in self.go_hands]))
        elif which == "reclaim":
            self._both(gos.reclaim(self.model))
        elif which != "recover":
            self._both(gos.forward(self.model, self.keys.state(which)))
        elif expired := gos.expired(self.model):
            task_id = data.draw(st.sampled_from(expired))
            self._note_owner(task_id)
            self._both(gos.recover(self.model, task_id, 200))
        self._note_groups()

    def _note_groups(self) -> None:
        sets = self.model.store.scores(self.keys.aggregation_sets)
        filled = {key.removeprefix(self.keys.group("")) for key in self.model.group_keys() if key not in sets}
        self.unlisted |= filled - self.model.store.members(self.keys.groups)

    @precondition(lambda self: self.go_hands)
    @rule(data=st.data())
    def go_writes_a_result(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.go_hands))
        if not self.model.task(message.id):
            self.stubs.add(message.id)
        self._both(gos.write_result(self.model, message.id, b"go's result"))

    # --- Go's aggregator ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.group_keys())
    @rule(group=groups)
    def go_takes_a_group(self, group: str) -> None:
        self._both(gos.aggregate(self.model, group, uuid.uuid4().hex))

    @precondition(lambda self: self.model.store.has(self.keys.aggregation_sets))
    @rule(data=st.data())
    def go_ends_an_aggregation(self, data: st.DataObject) -> None:
        sets = self.model.store.ranked(self.keys.aggregation_sets)
        self._both(gos.delete_set(self.model, data.draw(st.sampled_from(sets))))

    # --- Go's inspector ----------------------------------------------------------------------------------------------

    @rule(which=st.sampled_from(["run", "archive", "delete"]), data=st.data(), whole=st.booleans())
    def go_moves(self, which: str, data: st.DataObject, whole: bool) -> None:
        if whole:
            runnable = [state for state in RUNNABLE if state is not State.COMPLETED]
            state, group = self._a_state(data, {"run": runnable, "archive": ARCHIVABLE}.get(which, DELETABLE))
            move_all = {"run": gos.run_all, "archive": gos.archive_all, "delete": gos.delete_all}[which]
            self._both(move_all(self.model, state.value, group))
        else:
            task_id = data.draw(ids)
            move = {"run": gos.run_task, "archive": gos.archive_task, "delete": gos.delete_task}[which]
            self._both(move(self.model, task_id))
            self._note_owner(task_id)


class Workers(MixedQueue):
    """The same, without what administrators do: so more tasks get far."""

    python_moves = None
    go_moves = None
    go_takes_a_group = None
    python_looks_at_a_group = None
    the_queue_is_paused_or_resumed = None


class Groups(Queue):
    """Python alone, without workers: so more members of groups are joined, refused, and moved by hand meanwhile."""

    def _python_enqueues(self, news: list[dict[str, Any]]) -> None:
        super()._python_enqueues([{**new, "group": new["group"] or GROUPS[0]} for new in news])

    python_dequeues = None
    python_finishes = None
    python_extends = None
    python_takes_up_again = None
    python_worker_dies = None
    a_courier_delivers_and_may_die = None
    a_janitor_delivers_and_may_die = None
    others_have_had_their_time = None
    the_queue_is_paused_or_resumed = None
