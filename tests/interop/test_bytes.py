"""What Python stores is, byte for byte, what Go stores for the same task and options.

Each comparison enqueues into one queue by one side, reads every key of the queue, empties it, and lets the other
side enqueue the same: same id, same times.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from taskflow import State, TaskFlow
from taskflow.errors import DuplicateTask
from taskflow.message.task_message import TaskMessage
from tests.interop.apps.side import PythonSide
from tests.interop.golang import Peer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

AT = int(time.time()) + 3600
MOMENT = datetime.fromtimestamp(AT, UTC)

SCORES = "return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')"
"""Members and scores, as text and not as numbers, as a client might turn them into."""

Storage = dict[str, Any]
"""Every key of a queue, without the queue's prefix, with its value in Python's terms."""


def read(raw: redis.Redis, queue: str, prefix: str = "asynq") -> Storage:
    """Everything that is stored for a queue."""
    start = f"{prefix}:{{{queue}}}:"
    readers: dict[Any, Callable[[Any], Any]] = {
        b"string": raw.get,
        b"hash": raw.hgetall,
        b"list": lambda key: raw.lrange(key, 0, -1),
        b"set": raw.smembers,
        b"zset": lambda key: raw.eval(SCORES, 1, key),
    }
    keys: list[Any] = sorted(raw.keys(f"{start}*"))
    return {key.decode().removeprefix(start): readers[raw.type(key)](key) for key in keys}


def clear(raw: redis.Redis, queue: str) -> None:
    raw.delete(*raw.keys(f"asynq:{{{queue}}}:*"))


class Both:
    """Enqueues the same by Python and by Go and returns what each has stored."""

    def __init__(self, app: TaskFlow, peer: Peer, raw: redis.Redis, queue: str) -> None:
        self.app = app
        self.peer = peer
        self.raw = raw
        self.queue = queue

    def store(
        self, python: dict[str, Any], go: dict[str, Any], *, payload: str, arguments: dict[str, Any]
    ) -> tuple[Storage, Storage]:
        task = self.app.get_task("record")
        task.options(queue=self.queue, id="id-1", **python).delay(**arguments)
        ours = read(self.raw, self.queue)
        assert read(self.raw, self.queue, "taskflow") == {}
        clear(self.raw, self.queue)
        task_of_go = {"type": "record", "payload": payload, "queue": self.queue, "id": "id-1", **go}
        (answer,) = self.peer.enqueue([task_of_go])
        assert answer["ok"], answer
        return ours, read(self.raw, self.queue)


@pytest.fixture
def both(app: TaskFlow, peer: Peer, raw: redis.Redis, queue: str) -> Both:
    return Both(app, peer, raw, queue)


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "none": ({}, {}),
    "max_retries": ({"max_retries": 3}, {"max_retry": 3}),
    "no retry": ({"max_retries": 0}, {"max_retry": 0}),
    "timeout": ({"timeout": 90}, {"timeout_ms": 90_000}),
    "deadline": ({"deadline": MOMENT}, {"deadline_unix": AT}),
    "both limits": (
        {"timeout": 90, "deadline": MOMENT},
        {"timeout_ms": 90_000, "deadline_unix": AT},
    ),
    "retention": ({"retention": 7}, {"retention_ms": 7000}),
    "header": ({"headers": {"trace": "<1> ü"}}, {"headers": {"trace": "<1> ü"}}),
    "eta": ({"eta": MOMENT}, {"process_at_unix": AT}),
    "past": ({"eta": datetime.fromtimestamp(1_700_000_000, UTC)}, {"process_at_unix": 1_700_000_000}),
    "unique": ({"unique": 600}, {"unique_ms": 600_000}),
    "unique eta": ({"unique": 600, "eta": MOMENT}, {"unique_ms": 600_000, "process_at_unix": AT}),
    "group": ({"group": "my group"}, {"group": "my group"}),
    "group eta": ({"group": "G", "eta": MOMENT}, {"group": "G", "process_at_unix": AT}),
    "group past": (
        {"group": "G", "eta": datetime.fromtimestamp(1_700_000_000, UTC)},
        {"group": "G", "process_at_unix": 1_700_000_000},
    ),
    "all": (
        {
            "max_retries": 1,
            "timeout": 60,
            "deadline": MOMENT,
            "retention": 5,
            "unique": 9,
            "eta": MOMENT,
            "headers": {"a": ""},
            "group": "G",
        },
        {
            "max_retry": 1,
            "timeout_ms": 60_000,
            "deadline_unix": AT,
            "retention_ms": 5000,
            "unique_ms": 9000,
            "process_at_unix": AT,
            "headers": {"a": ""},
            "group": "G",
        },
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_stored_alike(both: Both, name: str) -> None:
    python, go = OPTIONS[name]
    ours, gos = both.store(python, go, payload='{"text":"a"}', arguments={"text": "a"})
    for storage in (ours, gos):
        _take_times(storage, group=python.get("group"))
    assert ours == gos


def _take_times(storage: Storage, group: str | None) -> None:
    """Check and remove what differs by the moment of writing."""
    since = storage["t:id-1"].pop(b"pending_since", None)
    assert (since is not None) == ("pending" in storage)
    if since is not None:
        assert since.isdigit()
        assert abs(int(since) / 1e9 - time.time()) < 60  # nanoseconds
    waiting = storage.get(f"g:{group}")
    if waiting is not None:
        added = waiting.pop()
        assert added.isdigit()
        assert abs(int(added) - time.time()) < 60


def test_several_headers_are_stored_alike(both: Both) -> None:
    """Go writes a map in random order, so these are compared as messages."""
    headers = {name: name.upper() for name in ("b", "a", "ü", "d", "c")}
    ours, gos = both.store({"headers": headers}, {"headers": headers}, payload="{}", arguments={})
    decoded = [TaskMessage.decode(storage["t:id-1"][b"msg"]) for storage in (ours, gos)]
    assert decoded[0] == decoded[1]


def test_a_unique_group_is_stored_alike(both: Both) -> None:
    """But for one field more, by which Go's inspector frees the lock of a task that it deletes: Go forgets it here."""
    ours, gos = both.store(
        {"unique": 600, "group": "G"}, {"unique_ms": 600_000, "group": "G"}, payload="{}", arguments={}
    )
    for storage in (ours, gos):
        _take_times(storage, group="G")
    lock = ours["t:id-1"].pop(b"unique_key")
    assert lock.decode().removeprefix(f"asynq:{{{both.queue}}}:") in ours
    assert ours == gos


@pytest.mark.parametrize(
    "scheduled",
    [False, True],
)
def test_a_lock_lives_as_long(both: Both, scheduled: bool) -> None:
    """Go counts a scheduled task's lock from the time at which it may run."""
    python: dict[str, Any] = {"unique": 600} | ({"delay": 60} if scheduled else {})
    go: dict[str, Any] = {"unique_ms": 600_000} | ({"process_in_ms": 60_000} if scheduled else {})
    wanted = 660 if scheduled else 600
    lives = []
    for enqueue in (
        lambda: both.app.get_task("nothing").options(queue=both.queue, **python).delay(),
        lambda: both.peer.enqueue([{"type": "nothing", "queue": both.queue, **go}]),
    ):
        enqueue()
        (lock,) = both.raw.keys(f"asynq:{{{both.queue}}}:unique:*")
        lives.append(both.raw.ttl(lock))
        clear(both.raw, both.queue)
    for life in lives:
        assert wanted - 5 < life <= wanted + 1


PAYLOADS: list[tuple[dict[str, Any], str]] = [
    ({"text": "a"}, '{"text":"a"}'),
    ({"text": "<a href='x'>&</a>"}, r'{"text":"\u003ca href=' + "'x'" + r'\u003e\u0026\u003c/a\u003e"}'),
    ({"text": "ünï 漢字 🎉 \u2028"}, '{"text":"ünï 漢字 🎉 \\u2028"}'),
    ({"text": 'tab\t quote" back\\'}, r'{"text":"tab\t quote\" back\\"}'),
    ({"text": "a", "ratio": 1.0}, '{"text":"a","ratio":1}'),
    ({"text": "a", "ratio": 2.50}, '{"text":"a","ratio":2.5}'),
    ({"text": "a", "ratio": 1e21}, '{"text":"a","ratio":1e+21}'),
    ({"text": "a", "ratio": 1e-7}, '{"text":"a","ratio":1e-7}'),
    ({"text": "a", "ratio": 100000000000.0}, '{"text":"a","ratio":100000000000}'),
    ({"text": "a", "ratio": 0.1, "count": 5}, '{"text":"a","ratio":0.1,"count":5}'),
]
"""Arguments, and what Go's `json.Marshal` makes of a struct of them."""


@pytest.mark.parametrize(("arguments", "payload"), PAYLOADS, ids=itertools.count())
def test_both_agree_on_the_lock(
    peer: Peer, app: TaskFlow, raw: redis.Redis, queue: str, arguments: dict[str, Any], payload: str
) -> None:
    assert json.loads(payload) == arguments
    (answer,) = peer.enqueue([{"type": "typed", "payload": payload, "queue": queue, "unique_ms": 600_000}])
    task = app.get_task("typed").options(queue=queue, unique=600)
    with pytest.raises(DuplicateTask):
        task.delay(**arguments)
    gos = read(raw, queue)
    clear(raw, queue)
    result = task.delay(**arguments)
    ours = read(raw, queue)
    (gos_lock,), (our_lock,) = ([k for k in storage if k.startswith("unique:")] for storage in (gos, ours))
    assert gos_lock == our_lock
    message = TaskMessage.decode(ours[f"t:{result.id}"][b"msg"])
    assert message.payload == payload.encode()
    assert message.unique_key == f"asynq:{{{queue}}}:{our_lock}"
    assert gos[f"t:{answer['id']}"][b"unique_key"] == ours[f"t:{result.id}"][b"unique_key"]


class TestVerdicts:
    """What the workers of both sides leave of the same task."""

    def test_completed(self, python: PythonSide, peer: Peer, raw: redis.Redis, queue: str) -> None:
        task = {
            "type": "record",
            "payload": '{"go":"result:1"}',
            "retention_ms": 600_000,
            "unique_ms": 600_000,
        }
        ours, gos = _run_by_both(python, peer, raw, queue, State.COMPLETED, task)
        for storage in (ours, gos):
            storage["t:id-1"].pop(b"result")
            completed_at = TaskMessage.decode(storage["t:id-1"][b"msg"]).completed_at
            assert storage.pop("completed") == [b"id-1", str(completed_at + 600).encode()]
        assert _without_times(ours) == _without_times(gos)

    def test_retry(self, python: PythonSide, peer: Peer, raw: redis.Redis, queue: str) -> None:
        task = {"type": "fail", "payload": '{"go":"fail"}', "unique_ms": 600_000}
        ours, gos = _run_by_both(python, peer, raw, queue, State.RETRY, task)
        for storage in (ours, gos):
            task_id, score = storage.pop("retry")
            assert (task_id, score.isdigit()) == (b"id-1", True)
            assert 5 < int(score) - time.time() < 46  # Asynq's formula: 15 to 44 s after the failure
        assert ours["t:id-1"].pop(b"first_failed_at").isdigit()
        assert json.loads(ours["t:id-1"].pop(b"attempts"))["text"] == "boom"
        assert _without_times(ours) == _without_times(gos)

    def test_archived(self, python: PythonSide, peer: Peer, raw: redis.Redis, queue: str) -> None:
        task = {"type": "fail", "payload": '{"go":"fail"}', "max_retry": 0}
        ours, gos = _run_by_both(python, peer, raw, queue, State.ARCHIVED, task)
        for storage in (ours, gos):
            failed_at = TaskMessage.decode(storage["t:id-1"][b"msg"]).last_failed_at
            task_id, score = storage.pop("archived")
            assert task_id == b"id-1"
            assert int(score) == pytest.approx(failed_at, abs=2)
        assert json.loads(ours["t:id-1"].pop(b"error")) == {"type": "ValueError"}
        assert json.loads(ours["t:id-1"].pop(b"attempts"))["text"] == "boom"
        assert _without_times(ours) == _without_times(gos)

    def test_done(self, python: PythonSide, peer: Peer, raw: redis.Redis, queue: str) -> None:
        ours, gos = _run_by_both(python, peer, raw, queue, None, {"type": "record", "payload": "{}"})
        assert ours == gos
        (day,) = (key for key in ours if key.startswith("processed:"))
        assert ours == {"processed": b"1", day: b"1"}


def _run_by_both(
    python: PythonSide, peer: Peer, raw: redis.Redis, queue: str, state: State | None, task: dict[str, Any]
) -> tuple[Storage, Storage]:
    """Let each side run the task in a queue of its own; what Python and what Go has left of it."""
    queues = python.queue(), queue
    for name in queues:
        peer.enqueue([{"id": "id-1", "queue": name, **task}])
    with peer.work({queue: 1}, task_check_ms=50):
        for name in queues:
            python.wait_for_state(state, "id-1", name)
    for name in queues:
        for day in raw.keys(f"asynq:{{{name}}}:*ed:20*"):
            assert raw.ttl(day) == pytest.approx(90 * 86400, abs=60)
    return read(raw, queues[0]), read(raw, queues[1])


def _without_times(storage: Storage) -> Storage:
    """Check the times in the message, and take out of the storage what differs by time and queue."""
    fields = storage["t:id-1"]
    message = TaskMessage.decode(fields.pop(b"msg"))
    for name in ("last_failed_at", "completed_at"):
        moment = getattr(message, name)
        assert not moment or abs(moment - time.time()) < 60
    prefix = f"asynq:{{{message.queue}}}:"
    fields["message"] = replace(
        message,
        queue="",
        unique_key=message.unique_key.removeprefix(prefix),
        last_failed_at=bool(message.last_failed_at),
        completed_at=bool(message.completed_at),
    )
    if b"unique_key" in fields:
        fields[b"unique_key"] = fields[b"unique_key"].removeprefix(prefix.encode())
    return storage
