"""The limit: the simplest scripts that move a task through Asynq's keys in batches, called by a plain program with threads.

Nothing of taskflow is in it, so it does not become faster or slower with it. It keeps no promise: whoever comes late writes over
the verdict of whoever took over, what is sent twice happens twice, leases are written and never extended, nothing is checked,
limited, recovered or sent again. What it does is what any program over this storage must do for each task: make an id and a
message, and on the other side read the message, look up the function by its name, decode the arguments, call it, and write down
that it is done.

    python limit_app.py      runs a worker
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import side
from bare import PENDING, Connections, call, connect, in_threads, load, run, wait
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from redis.connection import Connection

BATCH = 200
LEASE = 30
KEYS = f"asynq:{{{side.QUEUE}}}:"
ACTIVE, TASK, PROCESSED = KEYS + "active", KEYS + "t:", KEYS + "processed"

ENQUEUE = """
for i = 3, #ARGV, 2 do
  redis.call('HSET', ARGV[1] .. ARGV[i], 'msg', ARGV[i + 1], 'state', 'pending', 'pending_since', ARGV[2])
  redis.call('LPUSH', KEYS[1], ARGV[i])
end
return 1
"""

DEQUEUE = """
local ids = redis.call('RPOP', KEYS[1], ARGV[2])
if not ids then return {} end
local found, leases = {}, {}
for i, id in ipairs(ids) do
  local task = ARGV[1] .. id
  found[2 * i - 1], found[2 * i] = id, redis.call('HGET', task, 'msg')
  leases[2 * i - 1], leases[2 * i] = ARGV[3], id
  redis.call('HSET', task, 'state', 'active')
end
redis.call('LPUSH', KEYS[2], unpack(ids))
redis.call('ZADD', KEYS[3], unpack(leases))
return found
"""

DONE = """
local keys = {}
for i = 2, #ARGV do
  redis.call('LREM', KEYS[1], -1, ARGV[i])
  keys[i - 1] = ARGV[1] .. ARGV[i]
end
redis.call('ZREM', KEYS[2], unpack(ARGV, 2))
redis.call('DEL', unpack(keys))
redis.call('INCRBY', KEYS[3], #keys)
redis.call('INCRBY', KEYS[4], #keys)
return #keys
"""


def _message_class() -> Any:
    """Asynq's TaskMessage, as far as it is needed."""
    file = descriptor_pb2.FileDescriptorProto(name="limit.proto", package="limit", syntax="proto3")
    message = file.message_type.add(name="TaskMessage")
    kinds = descriptor_pb2.FieldDescriptorProto
    for number, name, kind in (
        (1, "type", kinds.TYPE_STRING),
        (2, "payload", kinds.TYPE_BYTES),
        (3, "id", kinds.TYPE_STRING),
        (4, "queue", kinds.TYPE_STRING),
        (5, "retry", kinds.TYPE_INT32),
        (8, "timeout", kinds.TYPE_INT64),
    ):
        message.field.add(name=name, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("limit.TaskMessage"))


TaskMessage = _message_class()


def caller(script: str, *keys: str) -> tuple[Any, ...]:
    """How a call of a script begins."""
    return ("EVALSHA", hashlib.sha1(script.encode()).hexdigest(), len(keys), *keys)


class Client(Connections):
    def open(self) -> None:
        self.call = (*caller(ENQUEUE, PENDING), TASK)
        self.makers = {kind: maker(f"benchmark:{kind}") for kind in ("noop", "sleep", "cpu")}
        load(self.connection, ENQUEUE)

    def one(self, kind: str) -> None:
        call(self.connection, *self.call, time.time_ns(), *self.makers[kind]())

    def many(self, kind: str, count: int) -> None:
        connection, make = self.connection, side.pick(self.makers, kind)
        for start in range(0, count, BATCH):
            words: list[Any] = []
            for _ in range(min(BATCH, count - start)):
                words += make()
            call(connection, *self.call, time.time_ns(), *words)

    def ping(self, sent: int) -> None:
        words = maker("benchmark:mark", b'{"sent":%d}' % sent)()
        call(self.connection, *self.call, time.time_ns(), *words)


def maker(name: str, payload: bytes = b"") -> Callable[[], tuple[str, bytes]]:
    """What makes an id and a message of a task: all but the id is the same in each."""
    mark = "0" * 36
    message = TaskMessage(type=name, payload=payload, id=mark, queue=side.QUEUE, retry=25, timeout=1800)
    head, tail = message.SerializeToString().split(mark.encode())

    def make() -> tuple[str, bytes]:
        id_ = str(uuid.uuid4())
        return id_, head + id_.encode() + tail

    return make


class Worker:
    """Threads that each take a batch, run it and write it down; one at a time waits and takes."""

    def __init__(self) -> None:
        self.taking = threading.Lock()
        self.dequeue = (*caller(DEQUEUE, PENDING, ACTIVE, KEYS + "lease"), TASK, BATCH)
        connection = connect()
        load(connection, DEQUEUE, DONE)
        connection.disconnect()

    def run(self) -> None:
        connection = connect()
        while True:
            with self.taking:
                found = self.take(connection)
            ids, messages = found[::2], found[1::2]
            for data in messages:
                run(TaskMessage.FromString(data))
            self.done(connection, ids)

    def take(self, connection: Connection) -> list[bytes]:
        """The id and the message of each of some tasks."""
        while True:
            found: list[bytes] = call(connection, *self.dequeue, int(time.time()) + LEASE)
            if found:
                return found
            wait(connection)

    def done(self, connection: Connection, ids: Iterable[bytes]) -> None:
        """They are done."""
        day = f"{PROCESSED}:{time.strftime('%Y-%m-%d', time.gmtime())}"
        call(connection, *caller(DONE, ACTIVE, KEYS + "lease", PROCESSED, day), TASK, *ids)


if __name__ == "__main__":
    in_threads(Worker().run)
