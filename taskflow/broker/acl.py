"""Users for `ACL SETUSER`, each with the rights that its part needs and no others (pure).

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
"""What the names of the users begin with: `taskflow-producer` and so on."""

_CALL = re.compile(r"\('([A-Z]+)'")
"""A call whose first argument is a command: `redis.call('TIME')`, or a call of a script's function around `redis.call`."""

_EVERYTHING = ("asynq:*", "taskflow:*")
_VERDICTS = "taskflow:{*}:verdict:*"
_REPORTS = "taskflow:{*}:reports:*"
"""What running tasks say of themselves."""
_DUE = "taskflow:{*}:due"
"""A key, and also the channel on which a change of its first entry is published."""
_CANCELS = "taskflow:{*}:cancel"
"""Tells workers which of their tasks are cancelled."""
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
    """A role that may use its commands on all our keys and Asynq's; with `selectors`, some more commands on some keys only."""
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
            "taskflow:{*}:stored",
            _DUE,
        ),
    ),
    (_VERDICTS, _REPORTS, _DUE),
    (
        Rule(("lpush",), ("asynq:{*}:pending",)),
        Rule(("zadd",), ("asynq:{*}:scheduled", "asynq:{*}:g:*")),
        Rule(("expire", "zadd", "zrange"), (_DUE,)),
        Rule(("zadd",), ("taskflow:{*}:stored",)),
        Rule(("sadd",), ("asynq:{*}:groups", "asynq:queues")),
        Rule(("exists", "hget", "hmget", "hset"), ("asynq:{*}:t:*",)),
        Rule(("get", "set"), ("asynq:{*}:unique:*",)),
        Rule(("expireat", "hdel", "hgetall", "hset"), ("taskflow:{*}:partitions",)),
        Rule(("smismember",), ("asynq:queues",)),
    ),
)

_WORKER_SCRIPTS = (
    "confirm",
    "deliver",
    "dequeue",
    "enqueue",
    "expire",
    "extend",
    "finish",
    "forget",
    "forward",
    "hand_over",
    "held",
    "hold_guard",
    "join",
    "note_partitions",
    "overdue",
    "pause",
    "reclaim",
    "record_server",
    "recover",
    "refuse",
    "report",
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
    # What `taskflow doctor` reads. CONFIG GET is not here, since it shows the server's own password: the doctor makes do with
    # INFO. The scripts that put things right are not here either; a viewer may send the commands by which they only read.
    "hget",
    "hlen",
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
    "cancel",
    "delete_all",
    "delete_tasks",
    "forget",
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
"""Asynq's Inspector removes dead servers and schedulers from these lists before it lists them, so a viewer needs this right. It
could remove living ones, too; those enter themselves again with their next heartbeat.
"""

_GO_OPERATOR = ("hset", "lpush", "lrem", "setnx", "zrem", "zremrangebyrank", "zremrangebyscore")
"""The same for what an operator's tools in Go write."""

ROLES: tuple[Role, ...] = (
    _PRODUCER,
    _wide(
        "canceller",
        "enqueues tasks and waits for their results, as a producer, and cancels tasks",
        (*_PRODUCER.scripts, "cancel", "list_groups", "list_tasks", "queue_counts", "task_row"),
        (*_PRODUCER.commands, "hget", "hmget", "sismember", "smembers", "zcard", "zrange"),
        *_PRODUCER.channels,
        CANCEL_CHANNEL,
        _CANCELS,
    ),
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
        _CANCELS,
        _VERDICTS,
        _REPORTS,
        _DUE,
    ),
    _wide(
        "viewer",
        "looks at everything and changes nothing",
        _VIEWER_SCRIPTS,
        (*_VIEWER_PLAIN, *_GO_VIEWER),
        _VERDICTS,
        _REPORTS,
        selectors=(_GO_LISTS,),
    ),
    _wide(
        "operator",
        "looks at everything, and puts queues and tasks right by hand",
        _OPERATOR_SCRIPTS,
        (*_VIEWER_PLAIN, *_GO_VIEWER, *_GO_OPERATOR, "del", "expire", "publish", "sadd", "srem", "zadd"),
        CANCEL_CHANNEL,
        _CANCELS,
        _VERDICTS,
        _REPORTS,
    ),
)
"""All roles, for programs in Python and in Go. A dashboard is a viewer, or an operator if it may write."""
