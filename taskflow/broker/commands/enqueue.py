"""Enqueue: new tasks, now or later, unique or not, or into an aggregation group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...connection.topology import key_slot
from ...message.content import COMPRESSION_HEADER
from ...message.task_message import TaskMessage
from ...message.template import MessageTemplate
from ..builder import builder, item_of
from ..command import Command, Plain
from ..keys import ALL_QUEUES, queue_keys
from ..words import Enqueued

if TYPE_CHECKING:
    # For the start: a worker, which knows no keys, delivers followers.
    from ...message.message_crypto import MessageCrypto

BATCH = 100
"""Items of one script call at most: a script stays under 5 ms."""

MOST_BYTES = 1024 * 1024
"""Bytes of messages that go together in one trip; a single larger message goes alone. It bounds how long a trip takes."""

_build_enqueue = builder("enqueue", at_once=True)
_of_call, _of_terms = item_of("enqueue").cut("start_at")
_words_of = _of_call.getter(message="encoded")


class Terms:
    """What all calls of a task with the same options have in common, worked out once.

    Args:
        message: of such a call; its id, payload and lock do not matter.
        delay: seconds from now by the server's clock until it may run, or None.
        process_at: Unix seconds from which it may run; both None: now.
        lock_seconds: the time to live of the lock that each call names; 0: no lock.
        durable: whether enqueueing waits until a replica has it too; "strict" counts a node without replicas as a failure.
        expires: seconds from now by the server's clock in which it must have started, or None.
        expires_at: the same in Unix seconds; both None: it may start at any time.
        outbox: whether it goes through the app's outbox; None: as the app says.
    """

    __slots__ = (
        "_elsewhere",
        "_template",
        "compresses",
        "delay",
        "durable",
        "expires",
        "expires_at",
        "group",
        "lock_seconds",
        "message",
        "outbox",
        "process_at",
        "queue",
        "words",
    )

    def __init__(
        self,
        message: TaskMessage,
        delay: float | None = None,
        process_at: float | None = None,
        lock_seconds: int = 0,
        durable: bool | str = False,
        expires: float | None = None,
        expires_at: float | None = None,
        outbox: bool | None = None,
    ) -> None:
        self.message = message
        self.queue = message.queue
        self.group = message.group_key
        self.compresses = COMPRESSION_HEADER in message.headers and not self.group
        """Whether payloads are to be compressed, where nothing else is done to them: those of a group are joined as they are."""
        self.delay = delay
        self.process_at = process_at
        self.lock_seconds = lock_seconds
        self.durable = durable
        self.expires = expires
        self.expires_at = expires_at
        self.outbox = outbox
        self.words = _of_terms(
            start_at=moment_of(delay, process_at),
            expires_at=moment_of(expires, expires_at),
            lock_seconds=lock_seconds,
            group=self.group,
        )
        """What the script is told of each call."""
        self._template: MessageTemplate | None = None
        self._elsewhere: dict[str, Terms] = {}

    def in_queue(self, queue: str) -> Terms:
        """The same in another queue; kept, so that many calls share it."""
        terms = self._elsewhere.get(queue)
        if terms is None:
            terms = Terms(replace(self.message, queue=queue), *self.rest)
            self._elsewhere[queue] = terms
        return terms

    @property
    def rest(self) -> tuple[Any, ...]:
        """What follows the message in the arguments of `Terms`, and of `NewTask`."""
        times = self.expires, self.expires_at
        return (self.delay, self.process_at, self.lock_seconds, self.durable, *times, self.outbox)

    def call(self, id: str, payload: bytes, lock: str = "") -> NewTask:
        """One call: its id, its encoded arguments, and the whole key of its lock ("" for none)."""
        if self._template is None:
            self._template = MessageTemplate(self.message)
        new: NewTask = _make(NewTask)
        new.terms = self
        new.id = id
        new.lock = lock
        new.named = False
        new.payload = payload
        new.headers = None
        new.encoded = b""
        return new


def moment_of(seconds: float | None, at: float | None) -> str:
    """A moment as the script reads it: from its start on, or in Unix seconds; "" for none."""
    if seconds is not None:
        return f"+{seconds:.6f}"
    return "" if at is None else f"{at:.6f}"


class NewTask:
    """A task that is to be enqueued. Its message is written when it is first put into a call of the script, and kept: till
    then its queue, and with it its id, may change, or it may be encrypted and signed.

    A plain class, since hundreds of thousands are made in a second: those that share their terms come from `Terms.call`.

    Args:
        message: the message.
        delay: see `Terms`, as all that follow.

    Attributes:
        terms: what it shares with others.
        id: its id.
        lock: the whole key of its lock; "" for none.
        named: whether the caller chose its id.
        payload: its encoded arguments.
        headers: those of this call alone; None: those of its terms.
        encoded: its message, once it was written.
        identity: how many leading bytes of that never change (see `TaskMessage.identity_size`).
    """

    __slots__ = ("encoded", "headers", "id", "identity", "lock", "named", "payload", "terms")

    def __init__(
        self,
        message: TaskMessage,
        delay: float | None = None,
        process_at: float | None = None,
        lock_seconds: int = 0,
        durable: bool | str = False,
        expires: float | None = None,
        expires_at: float | None = None,
        outbox: bool | None = None,
    ) -> None:
        self.terms = Terms(message, delay, process_at, lock_seconds, durable, expires, expires_at, outbox)
        self.id = message.id
        self.lock = message.unique_key
        self.named = False
        self.payload = message.payload or b""
        self.headers: Mapping[str, str] | None = None
        self.encoded = b""
        self.identity = 0

    def encode(self) -> bytes:
        """Write its message, and count how many of its bytes never change."""
        template = self.terms._template
        if template is None:  # it shares its terms with nobody, and they were made of its message
            message = self.terms.message if self.headers is None else self.message
            self.encoded, self.identity = message.encode(), message.identity_size()
        else:
            self.encoded, self.identity = template.encode(self.id, self.payload, self.lock, self.headers)
        return self.encoded

    def closed(self, crypto: MessageCrypto) -> NewTask:
        """The same task, encrypted and signed."""
        terms, message = self.terms, self.terms.message
        new: NewTask = _make(NewTask)
        new.terms, new.id, new.named, new.encoded = terms, self.id, self.named, b""
        new.payload, new.lock, new.headers = crypto.sealed(
            message.type, terms.queue, self.id, self.payload, self.lock, message.headers
        )
        return new

    def moved_to(self, queue: str, id: str) -> NewTask:
        """The same task in another queue, or under another id."""
        terms = self.terms
        lock = self.lock and queue_keys(queue).lock_like(terms.queue, self.lock)
        new = terms.in_queue(queue).call(id, self.payload, lock)
        new.named = self.named
        return new

    @property
    def message(self) -> TaskMessage:
        """Its message."""
        shared = self.terms.message
        return replace(
            shared,
            id=self.id,
            payload=self.payload or None,
            unique_key=self.lock,
            headers=shared.headers if self.headers is None else self.headers,
        )

    def __repr__(self) -> str:
        return f"NewTask({self.id!r}, {self.terms.queue!r})"


_make = object.__new__


@dataclass(frozen=True, slots=True)
class EnqueueReply:
    """The outcome for one new task; `holder` is the task that holds the lock of a duplicate."""

    outcome: Enqueued
    holder: str | None = None


CREATED = EnqueueReply(Enqueued.CREATED)
_CREATED: int = Enqueued.CREATED.value

_REPLIES = {1: CREATED, **{one.value: EnqueueReply(one) for one in Enqueued if one is not Enqueued.CREATED}}


def enqueue(
    queue: str, tasks: Sequence[NewTask], *, resent: bool = False, movable: bool = False
) -> Command[list[EnqueueReply]]:
    """Put tasks into one queue, in their order: all of them in one atomic step, each with an outcome of its own.

    Args:
        queue: the queue's name.
        tasks: at most `BATCH` of them.
        resent: whether another call may have enqueued them already: those that are there count as a success.
        movable: whether they can go elsewhere while nothing of them has reached a node.
    """
    keys = queue_keys(queue)
    names: list[str] = []
    words: list[Any] = []
    task_prefix = keys.task_prefix
    durable = False
    for task in tasks:
        terms = task.terms
        group = terms.group
        names.append(task_prefix + task.id)
        if terms.lock_seconds:
            names.append(task.lock)
        if group:
            names.append(keys.group(group))
        if not task.encoded:
            task.encode()
        words += _words_of(task)
        words += terms.words
        durable = durable or bool(terms.durable)
    command = _build_enqueue(keys, _parse, names, words, durable=durable, movable=movable)
    return command.again() if resent else command


ONE_CREATED = [CREATED]
"""The value of nearly every call with one task."""


def _parse(reply: list[Any]) -> list[EnqueueReply]:
    if reply.count(_CREATED) == len(reply):  # nearly always
        return [CREATED] * len(reply)
    return [
        _REPLIES[item] if isinstance(item, int) else EnqueueReply(Enqueued.DUPLICATE, item.decode())
        for item in reply
    ]


def publish_queues(queues: Sequence[str]) -> Plain[int]:
    """Enter queue names in the index of all queues, which the tools of both languages read."""
    return Plain(("SADD", ALL_QUEUES, *queues), int, slot=key_slot(ALL_QUEUES))
