"""`ReadyTask`: a call that is finished but not sent, as an outbox keeps it (pure)."""

from __future__ import annotations

import msgspec

from ..errors import DecodeError

_VERSION = b"\x01"
"""The first byte of what is packed: a release that writes more puts another there, and one that cannot read it says so."""


class ReadyTask(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A call whose message is written, signed and encrypted, and which only has to be brought to its queue.

    An outbox stores it where the program's own data is, and `TaskFlow.deliver` brings it to its queue. Nothing else is needed for
    that: not the task's code, and no keys.

    Attributes:
        id: the task's id.
        queue: where it goes: of a queue with partitions, the partition.
        name: the task's name.
        message: the message as it is stored, in Asynq's format.
        once: by what it is told from others when it is delivered more than once.
        delay: seconds that it has to wait from the moment in which it was made.
        process_at: Unix seconds from which it may run. Neither: at once.
        expires: seconds from the moment in which it was made, until which it must have started.
        expires_at: the same in Unix seconds. Neither: it may start at any time.
        lock: the key of its `unique` lock; "" for none.
        lock_seconds: how long that is held at most.
        group: the aggregation group that it waits in; "" for none.

    Example:
        >>> ready = ReadyTask("id-1", "mail", "mail:send", b"message", "id-1", delay=60.0)
        >>> ReadyTask.unpack(ready.pack()) == ready
        True
        >>> ready.aged(45.0).delay
        15.0
    """

    id: str
    queue: str
    name: str
    message: bytes
    once: str
    delay: float | None = None
    process_at: float | None = None
    expires: float | None = None
    expires_at: float | None = None
    lock: str = ""
    lock_seconds: int = 0
    group: str = ""

    def __repr__(self) -> str:
        return (
            f"ReadyTask({self.id!r}, {self.queue!r})"  # what it is called with is nobody's business in a log
        )

    def pack(self) -> bytes:
        """All of it as bytes, for one column of a table."""
        return _VERSION + msgspec.msgpack.encode(self)

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> ReadyTask:
        """Read what `pack` has written.

        Raises:
            DecodeError: it is something else, or a later release has written it.
        """
        packed = bytes(data)
        if packed[:1] != _VERSION:
            raise DecodeError(
                f"{len(packed):,} bytes are not a task that is ready, or a later release of taskflow has written them: let that "
                "deliver it"
            )
        try:
            return msgspec.msgpack.decode(packed[1:], type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise DecodeError(
                f"{len(packed):,} bytes are not a task that is ready: they are damaged"
            ) from None

    def aged(self, seconds: float) -> ReadyTask:
        """The same task, so many seconds after it was made: what it still has to wait, and until when it must have started."""
        if self.delay is None and self.expires is None:
            return self
        return msgspec.structs.replace(
            self,
            delay=None if self.delay is None else max(self.delay - seconds, 0.0),
            expires=None if self.expires is None else max(self.expires - seconds, 0.0),
        )
