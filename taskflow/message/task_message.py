"""`TaskMessage`: what the field `msg` of a task's hash holds, byte for byte as Asynq writes it (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING

from ..errors import DecodeError, InvalidOption
from .wire import wire_error, wire_message

if TYPE_CHECKING:
    from . import taskflow_pb2

ERROR_TEXT_LIMIT = 4096
"""How many characters of an error are kept in a message: each retry carries it through the server again."""

_ELLIPSIS = " … "


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """One task as it is stored. Change it with `dataclasses.replace`.

    The names are ours, the meaning is Asynq's (`retry` on the wire is `max_retries` here, `group_key` is the
    group's name). Times are Unix seconds and durations whole seconds, as stored; 0 or "" is none.

    Args:
        type: the task's name.
        payload: the encoded arguments; None and b"" are the same once stored.
        id: unique within its queue.
        queue: the queue's name.
        max_retries: how many retries it may have.
        retried: how many it has had.
        error_msg: the text of the last failure; pass it through `sanitize_text`.
        timeout: seconds that one run may take.
        deadline: Unix seconds by which it must have run.
        unique_key: the whole key of its lock, see `unique_key`.
        last_failed_at: Unix seconds.
        retention: seconds that it is kept after it succeeded.
        completed_at: Unix seconds, set when it succeeded and is retained.
        group_key: the group it waits in.
        headers: text for both ends; Go drops it before v0.26.

    Example:
        >>> TaskMessage(type="noop", payload=None, id="x", queue="default", timeout=1800).encode().hex()
        '0a046e6f6f701a0178220764656661756c74281940880e'
    """

    type: str
    payload: bytes | None
    id: str
    queue: str
    max_retries: int = 25
    retried: int = 0
    error_msg: str = ""
    timeout: int = 0
    deadline: int = 0
    unique_key: str = ""
    last_failed_at: int = 0
    retention: int = 0
    completed_at: int = 0
    group_key: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    def encode(self) -> bytes:
        """Write the message as Go does: fields in order of their numbers, defaults left out, headers sorted.

        Returns:
            The bytes for the field `msg`.

        Raises:
            InvalidOption: a text is not valid Unicode, or a number does not fit its field.
        """
        try:
            return self._to_wire().SerializeToString(deterministic=True)
        except (ValueError, TypeError) as error:
            raise InvalidOption(_encode_problem(self)) from error

    def _to_wire(self) -> taskflow_pb2.TaskMessage:
        # Setting a field costs more than testing it, and most messages have only these:
        wire = wire_message()(
            type=self.type,
            payload=self.payload or b"",
            id=self.id,
            queue=self.queue,
            retry=self.max_retries,
            timeout=self.timeout,
        )
        if self.retried:
            wire.retried = self.retried
        if self.error_msg:
            wire.error_msg = self.error_msg
        if self.deadline:
            wire.deadline = self.deadline
        if self.unique_key:
            wire.unique_key = self.unique_key
        if self.last_failed_at:
            wire.last_failed_at = self.last_failed_at
        if self.retention:
            wire.retention = self.retention
        if self.completed_at:
            wire.completed_at = self.completed_at
        if self.group_key:
            wire.group_key = self.group_key
        if self.headers:
            wire.headers.update(self.headers)
        return wire

    @classmethod
    def decode(cls, data: bytes, *, max_bytes: int | None = None) -> TaskMessage:
        """Read what Go or Python wrote. Fields that this version does not know are dropped, as Go drops them.

        Args:
            data: the bytes of the field `msg`.
            max_bytes: refuse more than this many, before anything is parsed; None for no limit.

        Returns:
            The message; an empty payload is None.

        Raises:
            DecodeError: the bytes are no message, hold bad UTF-8, lack type, id or queue, or are too many.

        Example:
            >>> data = bytes.fromhex("0a046e6f6f701a0178220764656661756c74281940880e")
            >>> TaskMessage.decode(data).queue
            'default'
        """
        if max_bytes is not None and len(data) > max_bytes:
            raise DecodeError(f"a message of {len(data):,} bytes is over the limit of {max_bytes:,}")
        try:
            wire = wire_message().FromString(data)
        except wire_error():
            # protobuf's own text says nothing more, and differs between its versions
            raise DecodeError(f"{len(data):,} bytes are not a message in Asynq's format") from None
        if not (wire.type and wire.id and wire.queue):
            raise DecodeError(f"a message of {len(data):,} bytes lacks its type, id or queue")
        headers = wire.headers
        return cls(
            wire.type,
            wire.payload or None,
            wire.id,
            wire.queue,
            wire.retry,
            wire.retried,
            wire.error_msg,
            wire.timeout,
            wire.deadline,
            wire.unique_key,
            wire.last_failed_at,
            wire.retention,
            wire.completed_at,
            wire.group_key,
            dict(headers) if headers else {},
        )

    def identity_size(self) -> int:
        """Count the leading bytes of `encode()` that hold type, payload, id and queue.

        A script that is asked to write the same task again compares them with what is stored: the rest of a
        message changes as the task is retried, these never do.

        Returns:
            A number of bytes.
        """
        size = 0
        for value in (self.type, self.payload, self.id, self.queue):
            if value:  # an empty field is left out
                length = len(value) if isinstance(value, bytes) or value.isascii() else len(value.encode())
                size += 1 + (length.bit_length() + 6) // 7 + length
        return size


def unique_key(queue: str, type: str, payload: bytes | None) -> str:
    """Name the lock that keeps a second equal task out, as Asynq names it.

    Args:
        queue: the queue's name.
        type: the task's name.
        payload: the encoded arguments. None gives no hash at all, which is not what b"" gives (Go: nil and
            empty).

    Returns:
        The whole key, in the slot of its queue.

    Example:
        >>> unique_key("default", "email:deliver", b'{"user_id":42}')
        'asynq:{default}:unique:email:deliver:1181f89307fa271072c095747d5813cc'
    """
    return lock_key(queue, type, "" if payload is None else md5(payload, usedforsecurity=False).hexdigest())


def lock_key(queue: str, type: str, digest: str) -> str:
    """Name the lock of a task by what stands for its arguments.

    Args:
        queue: the queue's name.
        type: the task's name.
        digest: hexadecimal digits that are the same for equal arguments.

    Returns:
        The whole key, in the slot of its queue.
    """
    return f"asynq:{{{queue}}}:unique:{type}:{digest}"


def sanitize_text(text: str, *, limit: int = ERROR_TEXT_LIMIT) -> str:
    """Make any text fit to be stored: valid Unicode and not too long. Go refuses a message with bad UTF-8.

    A text that is too long keeps its start and its end, since a traceback says what happened last.
    NUL and other control characters stay: who shows the text escapes it.

    Args:
        text: any string, also with lone surrogates (a file name, say); each becomes U+FFFD.
        limit: how many characters may remain, mark included.

    Returns:
        A string that encodes as UTF-8.

    Example:
        >>> sanitize_text("caf\\udce9")
        'caf\ufffd'
        >>> sanitize_text("0123456789", limit=7)
        '012 … 9'
    """
    if len(text) > limit:
        room = max(limit - len(_ELLIPSIS), 0)
        tail = room // 4
        text = (text[: room - tail] + _ELLIPSIS + text[len(text) - tail :])[:limit]
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _encode_problem(message: TaskMessage) -> str:
    """Say which field protobuf refuses; it does not say so itself. Values stay out of the text."""
    texts = ("type", "id", "queue", "error_msg", "unique_key", "group_key")
    for name in texts:
        if not _is_text(getattr(message, name)):
            return f"a task message cannot be written: {name} is not valid Unicode text"
    for name in ("max_retries", "retried"):
        if not _is_integer(getattr(message, name), bits=32):
            return f"a task message cannot be written: {name} is not a whole number of 32 bits"
    for name in ("timeout", "deadline", "last_failed_at", "retention", "completed_at"):
        if not _is_integer(getattr(message, name), bits=64):
            return f"a task message cannot be written: {name} is not a whole number of 64 bits"
    return "a task message cannot be written: payload is not bytes, or headers are not Unicode text"


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_integer(value: object, *, bits: int) -> bool:
    return isinstance(value, int) and -(1 << (bits - 1)) <= value < 1 << (bits - 1)
