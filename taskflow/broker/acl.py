"""Who may do what on the server: users for `ACL SETUSER` that have no more than their part needs (pure).

The commands that a script runs are read from its text, so the lists follow the scripts. A test holds the rest to
what the package sends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .keys import CANCEL_CHANNEL
from .scripts import load

PREFIX = "taskflow-"
"""How the users are called: `taskflow-producer` and so on."""

_CALL = re.compile(r"\('([A-Z]+)'")
"""A function that is called with a command's name first: `redis.call('TIME')`, or a script's own around it."""

_EVERYTHING = ("asynq:*", "taskflow:*")
_VERDICTS = "taskflow:{*}:verdict:*"
_DUE = "taskflow:{*}:due"
"""A key, and the channel on which it is said that its first entry has changed."""
_CONNECTING = ("ping", "select", "role", "cluster|slots", "cluster|info", "cluster|myid", "asking")
_SCRIPTS = ("eval", "evalsha")


@dataclass(frozen=True, slots=True)
class Rule:
    """Some commands on some keys."""

    commands: tuple[str, ...]
    keys: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """As ACL rules."""
        return [*(f"~{key}" for key in self.keys), *(f"+{command}" for command in self.commands)]


@dataclass(frozen=True, slots=True)
class Role:
    """A user of the server.

    Args:
        name: what it is for.
        purpose: what it may do, in words.
        scripts: the scripts that it runs.
        root: commands and keys that go with each other.
        channels: what it hears and says.
        selectors: commands with keys of their own.
    """

    name: str
    purpose: str
    scripts: tuple[str, ...]
    root: Rule
    channels: tuple[str, ...] = ()
    selectors: tuple[Rule, ...] = ()

    @property
    def commands(self) -> frozenset[str]:
        """Every command that it may send or run in a script."""
        return frozenset(command for rule in (self.root, *self.selectors) for command in rule.commands)

    def rules(self) -> list[str]:
        """The ACL rules, without name and password."""
        return [
            "-@all",
            "resetkeys",
            "resetchannels",
            *self.root.words(),
            *(f"&{channel}" for channel in self.channels),
            *(f"({' '.join(rule.words())})" for rule in self.selectors),
        ]

    def setuser(self, password: str | None = None) -> str:
        """A line for `valkey-cli`; without a password the user cannot log in until it has one.

        Example:
            >>> role("viewer").setuser("secret").split()[:5]
            ['ACL', 'SETUSER', 'taskflow-viewer', 'reset', 'on']
        """
        words = ["ACL", "SETUSER", PREFIX + self.name, "reset", "on", *_password(password)]
        # valkey-cli splits its line as a shell does.
        return " ".join([*words, *(f'"{rule}"' if " " in rule else rule for rule in self.rules())])

    def line(self, password: str | None = None) -> str:
        """A line for the server's `aclfile`."""
        return " ".join(["user", PREFIX + self.name, "on", *_password(password), *self.rules()])


def commands_of(scripts: Iterable[str]) -> tuple[str, ...]:
    """The commands that scripts run, sorted.

    Example:
        >>> commands_of(["pause"])
        ('set', 'time')
    """
    return tuple(sorted({word.lower() for name in scripts for word in _CALL.findall(load(name).source)}))


def role(name: str) -> Role:
    """The role of this name, one of `ROLES`."""
    return next(one for one in ROLES if one.name == name)


def _password(password: str | None) -> list[str]:
    return [f">{password}"] if password else []


def _wide(
    name: str,
    purpose: str,
    scripts: Sequence[str],
    plain: Sequence[str],
    *channels: str,
    selectors: tuple[Rule, ...] = (),
) -> Role:
    """A role whose commands all go with all keys, and some more with keys of their own."""
    commands = sorted({*_CONNECTING, *_SCRIPTS, *commands_of(scripts), *plain})
    return Role(name, purpose, tuple(scripts), Rule(tuple(commands), _EVERYTHING), channels, selectors)


_PRODUCER = Role(
    "producer",
    "enqueues tasks and waits for their results",
    ("enqueue", "note_partitions"),
    Rule(
        (*_CONNECTING, *_SCRIPTS, "publish", "time", "wait", "ssubscribe"),
        (
            "asynq:{*}:pending",
            "asynq:{*}:scheduled",
            "asynq:{*}:groups",
            "asynq:{*}:g:*",
            "asynq:{*}:t:*",
            "asynq:{*}:unique:*",
            "taskflow:{*}:partitions",
            _DUE,
        ),
    ),
    (_VERDICTS, _DUE),
    (
        Rule(("lpush",), ("asynq:{*}:pending",)),
        Rule(("zadd",), ("asynq:{*}:scheduled", "asynq:{*}:g:*")),
        Rule(("expire", "zadd", "zrange"), (_DUE,)),
        Rule(("sadd",), ("asynq:{*}:groups", "asynq:queues")),
        Rule(("exists", "hget", "hmget", "hset"), ("asynq:{*}:t:*",)),
        Rule(("get", "set"), ("asynq:{*}:unique:*",)),
        Rule(("expireat", "hdel", "hgetall", "hset"), ("taskflow:{*}:partitions",)),
        Rule(("smismember",), ("asynq:queues",)),
    ),
)

_WORKER_SCRIPTS = (
    "dequeue",
    "enqueue",
    "expire",
    "extend",
    "finish",
    "forward",
    "held",
    "hold_guard",
    "join",
    "note_partitions",
    "pause",
    "reclaim",
    "record_server",
    "recover",
    "ripe",
    "repair",
    "survey",
)
_VIEWER_SCRIPTS = ("list_groups", "list_tasks", "queue_counts", "read_states", "task_row")
_VIEWER_PLAIN = (
    "cluster|info",
    "cluster|shards",
    "get",
    "hmget",
    "hvals",
    "info",
    "mget",
    "sismember",
    "smismember",
    "smembers",
    "ssubscribe",
    "time",
    "zcard",
    "zrange",
    # What `taskflow doctor` reads. It makes do with INFO where CONFIG GET is refused, and that is on no list: it shows
    # the server's own password. Of the scripts that put things right a viewer may run what they read.
    "hget",
    "hstrlen",
    "llen",
    "lpos",
    "lrange",
    "scan",
    "ttl",
    "type",
    "zcount",
    "zscore",
)
_OPERATOR_SCRIPTS = (
    *_VIEWER_SCRIPTS,
    "archive_all",
    "archive_tasks",
    "delete_all",
    "delete_tasks",
    "pause",
    "reclaim",
    "recover",
    "release_locks",
    "remove_keys",
    "remove_queue",
    "resume",
    "run_all",
    "run_tasks",
    "repair",
    "survey",
)

_GO_SERVER = (
    "expire",
    "incr",
    "rpoplpush",
    "srem",
    "setex",
    "zcard",
    "zrangebyscore",
    "zremrangebyrank",
    "zremrangebyscore",
    "zrevrange",
    "zscore",
)
"""What Asynq's server and scheduler in Go send and run besides what ours do (v0.26). Its client needs nothing besides."""

_GO_VIEWER = (
    "exists",
    "hget",
    "cluster|keyslot",
    "cluster|nodes",
    "memory|usage",
    "zrangebyscore",
    "zrevrange",
)
"""The same for what Asynq's Inspector in Go, its command and its dashboard read."""

_GO_LISTS = Rule(("zremrangebyscore",), ("asynq:servers", "asynq:workers", "asynq:schedulers"))
"""Whoever lists servers or schedulers in Go removes the dead ones from these lists first. The living put themselves there again
with their next heartbeat, so this is all that a viewer could spoil.
"""

_GO_OPERATOR = ("hset", "lpush", "lrem", "setnx", "zrem", "zremrangebyrank", "zremrangebyscore")
"""What they write."""

ROLES: tuple[Role, ...] = (
    _PRODUCER,
    _wide(
        "worker",
        "runs tasks, and enqueues what they enqueue",
        _WORKER_SCRIPTS,
        (
            "blmove",
            "del",
            "hmget",
            "info",
            "llen",
            "exists",
            "sadd",
            "smembers",
            "smismember",
            "ssubscribe",
            "subscribe",
            "unsubscribe",
            "wait",
            "zadd",
            "zrem",
            *_GO_SERVER,
        ),
        CANCEL_CHANNEL,
        _VERDICTS,
        _DUE,
    ),
    _wide(
        "viewer",
        "looks at everything and changes nothing",
        _VIEWER_SCRIPTS,
        (*_VIEWER_PLAIN, *_GO_VIEWER),
        _VERDICTS,
        selectors=(_GO_LISTS,),
    ),
    _wide(
        "operator",
        "looks at everything, and puts queues and tasks right by hand",
        _OPERATOR_SCRIPTS,
        (*_VIEWER_PLAIN, *_GO_VIEWER, *_GO_OPERATOR, "del", "expire", "publish", "sadd", "srem", "zadd"),
        CANCEL_CHANNEL,
        _VERDICTS,
    ),
)
"""Everybody who has to do with the server, in Python or in Go. A dashboard is a viewer, or an operator where it may write."""
