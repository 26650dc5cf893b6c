"""Members of a group that a child refuses, with a death after every step, a reply that gets lost at every step, and a pause
before it: each is archived or put back once, and that is told once, whatever becomes of it meanwhile; its neighbours are joined.

The steps are those of the worker's own aggregator. Each rule that it rests on is taken out of `refuse.lua` once: a check must
fail then.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, ClassVar

import pytest

from taskflow.broker.commands.admin import delete_tasks, run_tasks
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.clock import ServerClock
from taskflow.errors import DecodeError
from taskflow.message.joined import joined
from taskflow.message.outcome import Outcome, archived, archived_raw, not_run
from taskflow.message.task_message import TaskMessage, unique_key
from taskflow.pipe.frames import Aggregation, Build, Built, Job, Refusal
from taskflow.states import Verb
from taskflow.telemetry.events import PutBack, Unread, attach
from taskflow.worker.loops.closed_aggregator import ClosedAggregator
from tests.properties.followers import ALL_STEPS, Died, lives
from tests.properties.invariants import problems
from tests.properties.mutants import changed
from tests.properties.place import Place

STEPS = range(5)
"""Of an aggregator that finds one group: which groups there are, who is in it, the refusal, the join, who is left."""

REFUSAL = 2
"""The step that refuses."""

MOST = 1 << 20


async def _nothing() -> None:
    pass


class Steps:
    """A broker for a worker to which something happens at one of its commands.

    Args:
        run: runs a command.
        left: commands until its end.
        before: the number of the command before which it stands still for a while.
        after: the number of the command whose reply gets lost, so that it is sent again after a while.
        meanwhile: what happens in that while.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        left: int = ALL_STEPS,
        *,
        before: int = -1,
        after: int = -1,
        meanwhile: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._run, self._left, self._before, self._after = run, left, before, after
        self._meanwhile = meanwhile
        self._number = -1

    async def run(self, command: Any, timeout: float = 4.0) -> Any:
        self._number += 1
        if self._number == self._left:
            raise Died
        if self._number == self._before:
            await self._meanwhile()
        reply = self._run(command)
        if self._number == self._after:
            await self._meanwhile()
            reply = self._run(command, resent=True)
        return reply


async def child(work: Build) -> Built:
    """What a child says of members: by what is written in them."""
    payloads, refused = [], []
    for member in work.members:
        verdict = _verdict(member)
        if isinstance(verdict, Outcome):
            refused.append(Refusal(verdict, "why", "" if verdict.verb == Verb.PUT_BACK else "unsigned"))
        else:
            payloads.append(verdict)
    if not payloads:
        return Built(work.number, refused=refused)
    message = joined(TaskMessage.decode(work.template), work.queue, work.id, work.group, payloads)
    return Built(work.number, message.encode(), refused)


def _verdict(member: Job) -> Outcome | bytes:
    try:
        message = TaskMessage.decode(member.message)
    except DecodeError:
        return archived_raw(member.number, "DecodeError", "no message", time.time())
    if message.payload == b'"unsigned"':
        return archived(
            member.number,
            message,
            "unsigned: why",
            '{"type": "SignatureError"}',
            time.time(),
            not_run("SignatureError", "unsigned: why", time.time()),
        )
    if message.payload == b'"of another key"':
        return Outcome(member.number, Verb.PUT_BACK, delay=300)
    return message.payload or b""


class Scene:
    """A group with two members that may be joined, and three that may not.

    Args:
        place: its queue.
    """

    told: ClassVar[Counter[str]] = Counter()
    """How often it was told of which task that it was archived unread, or put back."""

    def __init__(self, place: Place) -> None:
        self.place, self.keys = place, place.keys
        self.told.clear()
        self.lock = unique_key(place.name, "noop", b'"unsigned"')
        payloads = {
            "a": b'"a"',
            "unsigned": b'"unsigned"',
            "unread": b"?",
            "foreign": b'"of another key"',
            "b": b'"b"',
        }
        for task_id, payload in payloads.items():
            self.add(task_id, payload, self.lock if task_id == "unsigned" else "")
        place.client.hset(self.keys.task("unread"), "msg", b"\xff\xff no message")

    def add(self, task_id: str, payload: bytes, lock: str = "") -> None:
        message = TaskMessage(
            type="noop",
            payload=payload,
            id=task_id,
            queue=self.place.name,
            timeout=60,
            group_key="red",
            unique_key=lock,
        )
        self.place.run(enqueue(self.place.name, [NewTask(message, lock_seconds=600 if lock else 0)]))

    def work(self, broker: Steps | None = None) -> bool:
        """A worker looks at the groups, once; whether it came to its end."""
        return lives(self._look(broker or Steps(self.place.run)))

    def _look(self, steps: Any) -> Coroutine[Any, Any, float]:
        template = TaskMessage(type="joined", payload=None, id="template", queue=self.place.name, timeout=60)
        rule = Aggregation(self.place.name, template.encode(), grace=0, max_delay=0, max_size=0, closed=True)
        return ClosedAggregator(self.place.name, rule, steps, child, ServerClock(), MOST).tick()

    # --- what may happen meanwhile --------------------------------------------------------------------------------

    async def another_worker_is_through(self) -> None:
        await self._look(Steps(self.place.run))

    async def somebody_runs_them_by_hand(self) -> None:
        self.place.run(run_tasks(self.place.name, ["unsigned", "unread", "foreign"]))

    async def one_is_another_task(self) -> None:
        """It is deleted, and a sound one gets its id."""
        self.place.run(delete_tasks(self.place.name, ["unsigned"]))
        self.add("unsigned", b'"sound"')

    # --- what must have come of it --------------------------------------------------------------------------------

    def check(self, what: str, *, states: dict[str, str], joined: list[str], archived: int) -> None:
        """Each refused member is in the state that it should be in, and each other one in one joined task.

        Args:
            what: has happened, for whoever reads that it was wrong.
            states: of members that were refused.
            joined: the arguments of those that were joined.
            archived: how many were counted.
        """
        dump = self.place.dump()
        assert problems(dump, self.keys) == [], what
        tasks = {
            name.removeprefix(self.keys.task_prefix): value
            for name, value in dump.values.items()
            if name.startswith(self.keys.task_prefix)
        }
        found = {one: tasks.pop(one) for one in states}
        assert {one: value["state"].decode() for one, value in found.items()} == states, what
        items: list[str] = []
        for fields in tasks.values():
            message = TaskMessage.decode(fields["msg"])
            assert message.type == "joined", f"{message.id} is left; {what}"
            items += json.loads(message.payload or b"")["items"]
        assert sorted(items) == sorted(joined), what
        counts = [int(dump.values.get(key, 0)) for key in (self.keys.processed, self.keys.failed)]
        assert counts == [archived, archived], what
        self._check_traces(found, what)
        assert all(times == 1 for times in self.told.values()), f"{self.told} were told of; {what}"

    def _check_traces(self, found: dict[str, Any], what: str) -> None:
        """What a refusal leaves in a hash, it leaves once."""
        for task_id, fields in found.items():
            if fields["state"] == b"archived":
                kinds = {"unsigned": "SignatureError", "unread": "DecodeError"}
                assert json.loads(fields["error"])["type"] == kinds[task_id], what
            if fields["state"] == b"scheduled":
                assert fields["unknown"] == b"1", what
        if "unsigned" in found and found["unsigned"]["state"] == b"archived":
            assert TaskMessage.decode(found["unsigned"]["msg"]).error_msg == "unsigned: why", what
            assert not self.place.client.exists(self.lock), what


@pytest.fixture(autouse=True)
def _hears() -> Iterator[None]:
    detach = attach(lambda event: Scene.told.update([event.id]), [Unread, PutBack])
    yield
    detach()


AS_IT_SHOULD = {"unsigned": "archived", "unread": "archived", "foreign": "scheduled"}
RUN = dict.fromkeys(AS_IT_SHOULD, "pending")


def each_is_refused_once_whoever_dies(place: Place) -> None:
    """A worker dies after every step, then another while it goes on, then a third is left in peace."""
    for first in STEPS:
        for second in STEPS:
            scene = Scene(place)
            scene.work(Steps(place.run, first))
            scene.work(Steps(place.run, second))
            scene.work()
            what = f"one died after {first} steps, one after {second}"
            scene.check(what, states=AS_IT_SHOULD, joined=["a", "b"], archived=2)
            place.clear()


def each_is_refused_once_whichever_reply_is_lost(place: Place) -> None:
    """Until the command is sent again other things happen."""
    for step in STEPS:
        _happens(place, step, done=step >= REFUSAL, name="after")


def what_has_changed_since_it_was_read_is_left(place: Place) -> None:
    """A worker stands still before every step, and other things happen."""
    for step in STEPS:
        _happens(place, step, done=step > REFUSAL, name="before")


def _happens(place: Place, step: int, *, done: bool, name: str) -> None:
    """At one step of a worker, by hand and by other workers. `done`: members were refused by then."""
    expected: dict[str, dict[str, Any]] = {
        "": {"states": AS_IT_SHOULD, "joined": ["a", "b"], "archived": 2},
        "another_worker_is_through": {"states": AS_IT_SHOULD, "joined": ["a", "b"], "archived": 2},
        "somebody_runs_them_by_hand": {"states": RUN, "joined": ["a", "b"], "archived": 2 if done else 0},
        "one_is_another_task": {
            "states": {one: state for one, state in AS_IT_SHOULD.items() if one != "unsigned"},
            "joined": ["a", "b", "sound"],
            "archived": 2 if done else 1,
        },
    }
    for happens, wanted in expected.items():
        scene = Scene(place)
        meanwhile = getattr(scene, happens) if happens else _nothing
        at: dict[str, int] = {name: step}
        assert scene.work(Steps(place.run, meanwhile=meanwhile, **at))
        scene.work()
        what = f"{name} step {step}: {happens or 'nothing'}"
        scene.check(what, **wanted)
        if wanted["states"] is AS_IT_SHOULD:
            assert scene.told.keys() == AS_IT_SHOULD.keys(), f"{scene.told} were told of; {what}"
        place.clear()


Check = Callable[[Place], None]

CHECKS: tuple[Check, ...] = (
    each_is_refused_once_whoever_dies,
    each_is_refused_once_whichever_reply_is_lost,
    what_has_changed_since_it_was_read_is_left,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_refused_members_of_a_group(place: Place, check: Check) -> None:
    check(place)


SABOTAGE = {
    "what has another message than was read is refused": (
        r"if in_group and as_read then",
        "if in_group then",
    ),
    "what has left the group is refused": (r"if in_group and as_read then", "if as_read then"),
    "what is refused stays in its group": (r"redis\.call\('ZREM', group_key, id\)", ""),
    "what is archived keeps its lock": (r"release_lock\(id, fields\[2\], fields\[1\]\)", ""),
    "what is archived has no reason": (r"redis\.call\('HSET', task, 'msg', message\)", ""),
    "what is archived is in no list": (r"redis\.call\('ZADD', archived, [^\n]*", ""),
    "what is archived is not counted": (r"count = count \+ 1", ""),
    "what is put back never comes again": (r"enter_later\(scheduled, id, [^\n]*", ""),
    "what another worker has refused is told of": (r"local reply = 0", "local reply = 1"),
    "what was refused is not known again": (r"reply = 2", "reply = 0"),
    "what is to be put back is archived": (r"if verb == '\w+' then\n", "if false then\n"),
}


@pytest.mark.parametrize("rule", SABOTAGE)
def test_the_checks_fail_when_a_rule_is_taken_out_of_the_refusal(place: Place, rule: str) -> None:
    with changed("refuse", *SABOTAGE[rule]):
        assert _fails(place), f"nothing was noticed: {rule}"


def _fails(place: Place) -> bool:
    for check in CHECKS:
        try:
            check(place)
        except AssertionError:
            return True
        finally:
            place.clear()
    return False
