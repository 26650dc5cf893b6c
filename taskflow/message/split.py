"""Takes a stored message apart without decoding it: into what is its own, and what it has in common with others (pure)."""

from __future__ import annotations

_TYPE, _PAYLOAD, _ID = 0x0A, 0x12, 0x1A
"""Tags of the fields 1, 2 and 3, each of which has a length in front of its bytes."""

_MORE = 0x80
"""The bit of a byte of a length that says that another byte follows."""

_NO_ARGUMENTS = bytes((_PAYLOAD, 2)) + b"{}"
"""The field of the payload as Python writes it for a call without arguments."""

_BEFORE_ID = [bytes((_ID, size)) for size in range(_MORE)]
"""What stands in front of an id of so many bytes."""


def split_message(data: bytes) -> tuple[bytes, bytes, bytes | None] | None:
    """Split a message whose fields stand in the order of their numbers, as Go and Python write them.

    For whoever has decoded one message and meets another of the same kind: that one is a message too, and only its id and payload
    differ. On its own the split proves nothing, since the kind may be any bytes.

    Args:
        data: the bytes of the field `msg`.

    Returns:
        The kind (every other field: the same for all calls of a task with the same options), the id, and the payload (None
        where it is empty). None instead for what is written in another way, for a name or id of more than 127 bytes or an id that
        is not ASCII, and for a payload of two megabytes or more.

    Example:
        >>> split_message(bytes.fromhex("0a046e6f6f7012027b7d1a0178220764656661756c74281940880e"))[1:]
        (b'x', b'{}')
    """
    try:
        size = data[1]
        if data[0] != _TYPE or size >= _MORE:
            return None
        at = start = 2 + size
        payload = None
        if data[at] == _PAYLOAD:
            size = data[at + 1]
            at += 2
            if size >= _MORE:
                size += (data[at] - 1) << 7
                at += 1
                if data[at - 1] >= _MORE:
                    size += (data[at] - 1) << 14
                    at += 1
                    if data[at - 1] >= _MORE:
                        return None
            payload = data[at : at + size] or None
            at += size
        size = data[at + 1]
        if data[at] != _ID or size >= _MORE:
            return None
        at += 2
        end = at + size
        id_, tail = data[at:end], data[end:]
    except IndexError:
        return None
    return (data[:start] + tail, id_, payload) if tail and id_.isascii() else None


def ends_of(data: bytes, kind: bytes) -> tuple[bytes, bytes]:
    """What stands in front of the payload, and behind the id, in all messages of a kind; `data` is one of them."""
    start = 2 + data[1]
    return kind[:start], kind[start:]


def payload_between(data: bytes, head: bytes, id_: bytes, tail: bytes) -> bytes | None:
    """The payload of a message of which all else is known: a tenth of the work of `split_message`, for most of a batch.

    Args:
        data: the bytes of the field `msg`.
        head: what messages of this kind begin with; see `ends_of`.
        id_: the id that it has to have.
        tail: what messages of this kind end with.

    Returns:
        The payload; empty where it has none. None: the message is of another kind, has another id, or has to be split.
    """
    if len(id_) >= _MORE or not id_.isascii():
        return None
    end = _BEFORE_ID[len(id_)] + id_ + tail
    if data == head + _NO_ARGUMENTS + end:
        return b"{}"
    if data == head + end:
        return b""
    if not (data.startswith(head) and data.endswith(end)):
        return None
    field = data[len(head) : -len(end)]
    if len(field) < 3 or field[0] != _PAYLOAD or field[1] >= _MORE or field[1] != len(field) - 2:
        return None
    return field[2:]
