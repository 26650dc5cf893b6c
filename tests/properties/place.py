"""A queue on a real server: runs commands on it, and shows everything that is stored of it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import redis

from taskflow.broker.command import Command, Plain
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.topology import key_slot

_numbers = itertools.count(1)

_DUMP = """
local found = {}
for _, pattern in ipairs(ARGV) do
  for _, key in ipairs(redis.call('KEYS', pattern)) do
    local kind, value = redis.call('TYPE', key).ok, false
    if kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
    elseif kind == 'set' then value = redis.call('SMEMBERS', key)
    elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    elseif kind == 'hash' then value = redis.call('HGETALL', key)
    else value = redis.call('GET', key) end
    found[#found + 1] = {key, kind, redis.call('TTL', key), value}
  end
end
return found
"""


@dataclass
class Dump:
    """Everything that is stored of a queue, by key, and for how many seconds (-1: for ever)."""

    values: dict[str, Any]
    ttls: dict[str, int]


class Place:
    """One queue.

    Args:
        broker: where its commands go.
        client: a plain connection to the node that holds the queue; what Go does goes there, and what looks.
        queue: its name.
    """

    def __init__(self, broker: Broker, client: redis.Redis, queue: str) -> None:
        self.broker = broker
        self.client = client
        self.keys = queue_keys(queue)
        self.name = queue
        self._patterns = [f"asynq:{{{queue}}}:*", f"taskflow:{{{queue}}}:*"]
        self._dump = client.register_script(_DUMP)

    def run(self, command: Command[Any] | Plain[Any], *, resent: bool = False) -> Any:
        """Run a command of ours, as it is sent first or (`resent`) as it is sent again."""
        if isinstance(command, Command):
            slots = {key_slot(key if isinstance(key, str) else bytes(key)) for key in command.keys}
            assert slots == {self.keys.slot}, f"{command.name}: its keys are on slots {slots}"
            if resent and command.resend_flag >= 0:
                flag = command.resend_flag
                command = replace(command, args=[*command.args[:flag], 1, *command.args[flag + 1 :]])
        return self.broker.run(command)

    def transaction(self, commands: Sequence[Sequence[Any]]) -> None:
        """Run plain commands, all or none: how Go's scripts change the queue."""
        with self.client.pipeline(transaction=True) as pipeline:
            for words in commands:
                pipeline.execute_command(*words)
            pipeline.execute()

    def dump(self) -> Dump:
        """Everything that is stored of the queue."""
        dump = Dump({}, {})
        for key, kind, ttl, value in self._dump(args=self._patterns):
            name = key.decode()
            dump.ttls[name] = ttl
            dump.values[name] = _value(kind, value)
        return dump

    def clear(self) -> None:
        """Delete everything of the queue."""
        names = list(self.dump().values)
        if names:
            self.client.delete(*names)


def fresh_name() -> str:
    """The name of a queue that nobody else uses."""
    return f"p{next(_numbers)}-{uuid.uuid4().hex[:6]}"


def _value(kind: bytes, value: Any) -> Any:
    if kind == b"list":
        return [one.decode() for one in value]
    if kind == b"set":
        return {one.decode() for one in value}
    if kind == b"zset":
        return {name.decode(): float(score) for name, score in zip(value[::2], value[1::2], strict=True)}
    if kind == b"hash":
        return {name.decode(): field for name, field in zip(value[::2], value[1::2], strict=True)}
    return value
