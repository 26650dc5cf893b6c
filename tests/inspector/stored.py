"""Puts tasks into every state by the commands that workers and clients use, or as Go would write them."""

from __future__ import annotations

import time
import uuid

import redis

from taskflow.broker.commands.dequeue import Taken
from taskflow.broker.commands.enqueue import NewTask, enqueue, publish_queues
from taskflow.broker.commands.finish import Written, finish
from taskflow.broker.keys import ALL_SERVERS, queue_keys
from taskflow.broker.sync import Broker
from taskflow.message.records import ServerInfo
from taskflow.message.task_message import TaskMessage, unique_key
from taskflow.states import State, Verb
from tests.taking import ended, take_one

OWNER = "host:1:test"
PAYLOAD = b'{"card":"4111-secret"}'


class Stored:
    """Writes tasks into one queue."""

    def __init__(self, broker: Broker, raw: redis.Redis, queue: str, *, listed: bool = True) -> None:
        self.broker, self.raw, self.queue = broker, raw, queue
        self.keys = queue_keys(queue)
        if listed:
            broker.run(publish_queues([queue]))

    def served(self, *names: str) -> None:
        """A worker says that it serves the queue (or queues of these names), for a minute."""
        record = ServerInfo("host", 1, "test", 1, dict.fromkeys(names or [self.queue], 1))
        self.raw.set(f"{ALL_SERVERS}:{{host:1:test}}", record.encode(), ex=60)
        self.raw.zadd(ALL_SERVERS, {f"{ALL_SERVERS}:{{host:1:test}}": time.time() + 60})

    def put(self, state: State, task_id: str, **fields: object) -> str:
        """A task in a state; the id."""
        maker = getattr(self, state.value)
        maker(task_id, **fields)
        assert self.state(task_id) == state
        return task_id

    def message(self, task_id: str, **fields: object) -> TaskMessage:
        values = {"type": "shop:pay", "payload": PAYLOAD, "id": task_id, "queue": self.queue, "timeout": 1800}
        return TaskMessage(**(values | fields))  # type: ignore[arg-type]

    def pending(self, task_id: str, *, lock: bool = False, **fields: object) -> None:
        if lock:
            fields["unique_key"] = unique_key(self.queue, "shop:pay", PAYLOAD)
        message = self.message(task_id, **fields)
        self.broker.run(enqueue(self.queue, [NewTask(message, lock_seconds=600 if lock else 0)]))

    def scheduled(self, task_id: str, *, delay: float = 3600, **fields: object) -> None:
        self.broker.run(enqueue(self.queue, [NewTask(self.message(task_id, **fields), delay=delay)]))

    def aggregating(self, task_id: str, *, group: str = "g1") -> None:
        self.pending(task_id, group_key=group)

    def active(self, task_id: str, **fields: object) -> Taken:
        """Made pending alone, then taken."""
        others = self.raw.exists(self.keys.pending) and self.raw.rename(self.keys.pending, "aside")
        self.pending(task_id, **fields)
        taken = take_one(self.broker, self.queue, OWNER)
        assert taken.id == task_id
        if others:
            self.raw.rename("aside", self.keys.pending)
        return taken

    def retry(self, task_id: str, **fields: object) -> None:
        message = self.message(task_id, retried=1, error_msg="no route", last_failed_at=int(time.time()))
        self._finish(task_id, fields, Verb.RETRY, message=message.encode(), delay=600)

    def archived(self, task_id: str, **fields: object) -> None:
        message = self.message(task_id, error_msg="card refused", last_failed_at=int(time.time()))
        self._finish(task_id, fields, Verb.ARCHIVE, message=message.encode())

    def completed(self, task_id: str, **fields: object) -> None:
        message = self.message(task_id, retention=600, completed_at=int(time.time()))
        self._finish(task_id, fields, Verb.COMPLETE, message=message.encode(), delay=600, result=b'"paid"')

    def _finish(self, task_id: str, fields: dict[str, object], verb: Verb, **outcome: object) -> None:
        item = ended(self.active(task_id, **fields), verb, **outcome)
        (written,) = self.broker.run(finish(self.queue, [item], time.time()))
        assert written is not Written.REFUSED

    # --- as Go writes -----------------------------------------------------------------------------

    def go_hash(self, task_id: str | bytes, state: str, **fields: object) -> None:
        """A task's hash without an entry in any list."""
        message = self.message("x" if isinstance(task_id, bytes) else task_id)
        name = task_id if isinstance(task_id, bytes) else task_id.encode()
        key = self.keys.task_prefix.encode() + name
        self.raw.hset(key, mapping={"msg": message.encode(), "state": state, **fields})

    def aggregation_set(self, group: str, *ids: str) -> str:
        """Move tasks of a group into a set, as Go's aggregation check does; the set's key."""
        key = f"{self.keys.group(group)}:{uuid.uuid4()}"
        for task_id in ids:
            score = self.raw.zscore(self.keys.group(group), task_id)
            self.raw.zrem(self.keys.group(group), task_id)
            self.raw.zadd(key, {task_id: score})
        self.raw.zadd(self.keys.aggregation_sets, {key: int(time.time()) + 120})
        if not self.raw.exists(self.keys.group(group)):
            self.raw.srem(self.keys.groups, group)
        return key

    # --- looking ------------------------------------------------------------------------------------

    def state(self, task_id: str) -> str | None:
        """What the task's hash says."""
        value = self.raw.hget(self.keys.task(task_id), "state")
        return value.decode() if value else None

    def ids(self, state: State, group: str = "g1") -> list[str]:
        """The ids in a state, as they come up."""
        if state in (State.PENDING, State.ACTIVE):
            return [one.decode() for one in reversed(self.raw.lrange(self.keys.state(state), 0, -1))]
        key = self.keys.group(group) if state is State.AGGREGATING else self.keys.state(state)
        return [one.decode() for one in self.raw.zrange(key, 0, -1)]

    def is_nowhere(self, task_id: str) -> bool:
        """Whether neither a hash nor a list knows the id."""
        return not self.raw.exists(self.keys.task(task_id)) and not any(
            task_id in self.ids(one) for one in State
        )

    def all_keys(self) -> list[bytes]:
        """Every key of the queue."""
        return [key for key in self.raw.keys("*") if f"{{{self.queue}}}".encode() in key]
