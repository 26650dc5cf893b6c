"""taskflow's own scripts called straight over redis-py's connections, by a plain program without a framework.

It keeps no promise: no retries, no limits on time, no pipe, no heartbeat, no checks of arguments. What it does is what any
program over this storage must do for each task: make an id and a message, and on the other side read the message, look up
the function by its name, decode the arguments, call it, and write down that it is done. How the scripts are called is
learnt from taskflow's builders, by an example; what is the same for all tasks is made once.

    python own_scripts_app.py      runs a worker
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
import side
from bare import Connections, call, connect, in_threads, load, run, send, wait
from redis.connection import Connection

from taskflow.broker.command import Command
from taskflow.broker.commands.dequeue import Taken, dequeue
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import finish
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.message.taskflow_pb2 import TaskMessage as Wire
from taskflow.states import Verb

CHUNK = 200
TAKE = 200
UNDER_WAY = int(os.environ.get("UNDER_WAY", "1"))
"""Chunks of a bulk that are on their way at once: one is made while the server works on the other."""

_A, _B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def teach(connection: Connection, *commands: Command[Any]) -> None:
    """Make the server know the scripts of these commands."""
    load(connection, *(command.script.source for command in commands))


class Template:
    """How a script is called, learnt from a call for the task `_A` and one for the tasks `_A` and `_B`."""

    def __init__(self, one: Command[Any], two: Command[Any]) -> None:
        self._sha = one.script.sha
        keys = 2 * len(one.keys) - len(two.keys)
        args = 2 * len(one.args) - len(two.args)
        self._keys, self._args = list(one.keys)[:keys], list(one.args)[:args]
        self._item_keys = [_split(word) for word in two.keys[len(one.keys) :]]
        self._item_args = [_split(word) for word in two.args[len(one.args) :]]

    def words(self, ids: Iterable[bytes]) -> list[Any]:
        """The call for tasks of these ids."""
        keys, args = self._keys.copy(), self._args.copy()
        for id_ in ids:
            for head, rest in self._item_keys:
                keys.append(head + id_ + rest)
            for head, rest in self._item_args:
                args.append(head if rest is None else head + id_ + rest)
        return ["EVALSHA", self._sha, len(keys), *keys, *args]


def _split(word: Any) -> tuple[Any, Any]:
    """A word in two parts between which the id belongs; one that is the same for every task stays whole."""
    data = word.encode() if isinstance(word, str) else word
    if isinstance(data, bytes) and _B.encode() in data:
        head, rest = data.split(_B.encode())
        return head, rest
    return word, None


class Client(Connections):
    def open(self) -> None:
        self.templates = {kind: enqueuing(f"benchmark:{kind}") for kind in ("noop", "sleep", "cpu")}
        teach(self.connection, enqueue(side.QUEUE, []))

    def one(self, kind: str) -> None:
        assert call(self.connection, *self.templates[kind].words([new_id()])) == [1]

    def many(self, kind: str, count: int) -> None:
        connection, template, under_way = self.connection, side.pick(self.templates, kind), 0
        for start in range(0, count, CHUNK):
            send(connection, template.words(new_id() for _ in range(min(CHUNK, count - start))))
            under_way += 1
            if under_way == UNDER_WAY:
                connection.read_response()
                under_way -= 1
        for _ in range(under_way):
            connection.read_response()

    def ping(self, sent: int) -> None:
        call(self.connection, *enqueuing("benchmark:mark", b'{"sent":%d}' % sent).words([new_id()]))


def new_id() -> bytes:
    return str(uuid.uuid4()).encode()


def enqueuing(name: str, payload: bytes | None = None) -> Template:
    one, other = (
        NewTask(TaskMessage(type=name, payload=payload, id=id_, queue=side.QUEUE, timeout=1800))
        for id_ in (_A, _B)
    )
    return Template(enqueue(side.QUEUE, [one]), enqueue(side.QUEUE, [one, other]))


class Worker:
    """Threads that each take a batch, run it and write it down; one at a time waits and takes."""

    def __init__(self) -> None:
        self.taking = threading.Lock()
        connection = connect()
        teach(connection, dequeue(side.QUEUE, "", "", 1), finish(side.QUEUE, [], 0))
        connection.disconnect()

    def run(self) -> None:
        connection = connect()
        owner = f"own:{os.getpid()}:{threading.get_ident()}"
        # Its last two words are the token and the ids.
        done = finish(side.QUEUE, [(Taken(_A, b"", "token"), Outcome(0, Verb.DONE))], time.time())
        words = ["EVALSHA", done.script.sha, len(done.keys), *done.keys, *done.args[:-2]]
        encode = msgspec.msgpack.Encoder().encode
        while True:
            with self.taking:
                token, taken = self.take(connection, owner)
            for _, data in taken:
                run(Wire.FromString(data))
            call(connection, *words, token, encode([id_ for id_, _ in taken]))

    def take(self, connection: Connection, owner: str) -> tuple[str, list[tuple[str, bytes]]]:
        """The lease token of some tasks, and the id and message of each."""
        token = uuid.uuid4().hex
        command = dequeue(side.QUEUE, owner, token, TAKE)
        words = command.wire(full=False, resent=False)
        while True:
            tasks = command.parse(call(connection, *words)).tasks
            if tasks:
                return token, [(task.id, task.message) for task in tasks]
            wait(connection)


if __name__ == "__main__":
    in_threads(Worker().run)
