"""The limit: taskflow's scripts called straight over redis-py's connections, by a plain program without a framework.

It keeps no promise: no retries, no limits on time, no pipe, no heartbeat, no checks of arguments. What it does is what any
program over this storage must do for each task: make an id and a message, and on the other side read the message, look up
the function by its name, decode the arguments, call it, and write down that it is done.

    python limit_app.py      runs a worker
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from typing import Any

import side
from redis.connection import Connection
from taskflow.broker.scripts import Script, load
from taskflow.message.taskflow_pb2 import TaskMessage

CHUNK = 200
TAKE = int(os.environ.get("BENCH_TAKE", "200"))
WAIT = 2

PREFIX = f"asynq:{{{side.QUEUE}}}:"
TASK = PREFIX + "t:"
OWN = f"taskflow:{{{side.QUEUE}}}:"
PENDING = PREFIX + "pending"


def connect() -> Connection:
    connection = Connection(host="127.0.0.1", port=side.PORT, protocol=2, driver_info=None, socket_timeout=30)
    connection.connect()
    return connection


def call(connection: Connection, *words: Any) -> Any:
    connection.send_packed_command(connection.pack_command(*words), check_health=False)
    return connection.read_response(disable_decoding=True)


class Call:
    """A script, known to the server."""

    def __init__(self, script: Script) -> None:
        connection = connect()
        self.sha = call(connection, "SCRIPT", "LOAD", script.source)
        connection.disconnect()

    def words(self, keys: list[str], args: list[Any]) -> tuple[Any, ...]:
        return ("EVALSHA", self.sha, len(keys), *keys, *args)


class Client:
    def open(self) -> None:
        self.enqueue = Call(load("enqueue"))
        self.local = threading.local()
        self.templates = {kind: template(f"bench:{kind}", None) for kind in ("noop", "sleep", "cpu")}

    @property
    def connection(self) -> Connection:
        if not hasattr(self.local, "connection"):
            self.local.connection = connect()
        return self.local.connection

    def one(self, kind: str) -> None:
        assert call(self.connection, *self.words(self.templates[kind], 1)) == [1]

    def many(self, kind: str, count: int) -> None:
        """One chunk is on its way while the next is made."""
        if kind not in self.templates:
            raise side.Lacks("its worker has threads only")
        connection, under_way = self.connection, 0
        for start in range(0, count, CHUNK):
            words = self.words(self.templates[kind], min(CHUNK, count - start))
            connection.send_packed_command(connection.pack_command(*words), check_health=False)
            under_way += 1
            if under_way == 2:
                connection.read_response()
                under_way -= 1
        for _ in range(under_way):
            connection.read_response()

    def ping(self, sent: int) -> None:
        call(self.connection, *self.words(template("bench:mark", b'{"sent":%d}' % sent), 1))

    def words(self, parts: tuple[bytes, bytes, int], count: int) -> tuple[Any, ...]:
        head, rest, identity = parts
        keys, args = [PENDING, PREFIX + "scheduled", PREFIX + "groups"], [0, TASK]
        for _ in range(count):
            id_ = str(uuid.uuid4())
            keys.append(TASK + id_)
            args += (id_, head + id_.encode() + rest, identity, "p", "", 0)
        return self.enqueue.words(keys, args)


def template(name: str, payload: bytes | None) -> tuple[bytes, bytes, int]:
    """A message in two parts, between which the id belongs; and how long its first four fields are."""
    id_ = str(uuid.UUID(int=0))
    message = TaskMessage(type=name, payload=payload or b"", id=id_, queue=side.QUEUE, retry=25, timeout=1800)
    data = message.SerializeToString(deterministic=True)
    head, rest = data.split(id_.encode())
    first = TaskMessage(type=name, payload=payload or b"", id=id_, queue=side.QUEUE)
    return head, rest, len(first.SerializeToString(deterministic=True))


TASKS = {
    "bench:noop": lambda: None,
    "bench:sleep": side.sleep,
    "bench:cpu": side.cpu,
    "bench:mark": side.mark,
}


class Worker:
    """Threads that each take a batch, run it and write it down; one at a time waits and takes."""

    def __init__(self) -> None:
        self.dequeue, self.finish = Call(load("dequeue")), Call(load("finish"))
        self.taking = threading.Lock()

    def run(self) -> None:
        connection = connect()
        owner = f"limit:{os.getpid()}:{threading.get_ident()}"
        while True:
            with self.taking:
                reply = self.take(connection, owner)
            for at in range(3, len(reply), 5):
                message = TaskMessage.FromString(reply[at + 1])
                payload = message.payload
                TASKS[message.type](**(json.loads(payload) if payload else {}))
            call(connection, *self.done(reply, owner))

    def take(self, connection: Connection, owner: str) -> list[Any]:
        keys = [PENDING, PREFIX + "paused", PREFIX + "active", PREFIX + "lease", f"{OWN}taken:{owner}"]
        words = self.dequeue.words([*keys, OWN + "orphans"], [0, owner, uuid.uuid4().hex, TAKE, 30, TASK])
        while True:
            reply: list[Any] = call(connection, *words)
            if len(reply) > 3:
                return reply
            call(connection, "BLMOVE", PENDING, PENDING, "RIGHT", "RIGHT", WAIT)

    def done(self, reply: list[Any], owner: str) -> tuple[Any, ...]:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        states = ("active", "lease", "pending", "scheduled", "retry", "archived", "completed", "processed")
        keys = [PREFIX + state for state in states]
        keys += [f"{PREFIX}processed:{day}", PREFIX + "failed", f"{PREFIX}failed:{day}"]
        args: list[Any] = [0, owner, TASK, OWN + "verdict:", 7776000, 10000]
        for at in range(3, len(reply), 5):
            keys.append(TASK + reply[at].decode())
            args += (reply[at], "d", hashlib.sha1(reply[at + 1]).hexdigest(), b"", 0, b"", "", 0)
        return self.finish.words(keys, args)


def main() -> None:
    worker = Worker()
    for _ in range(side.CONCURRENCY - 1):
        threading.Thread(target=worker.run, daemon=True).start()
    worker.run()


if __name__ == "__main__":
    main()
