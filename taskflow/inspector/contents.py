"""Payloads and results as they are shown: what is compressed or msgpack is made readable; what is encrypted is not (pure)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..errors import MessageError
from ..message.compression import decompressed, unpack
from ..message.content import CONTENT_TYPE_HEADER, JSON, MSGPACK, Content
from ..message.offload import STORED
from ..message.payload import MSGPACK_RESULT
from ..message.task_message import TaskMessage

MOST = 1 << 20
"""Bytes that are shown of what was compressed: a list of many tasks must not take all memory."""


def shown_payload(message: TaskMessage | None) -> bytes:
    """The arguments of a task, readable where that takes no keys and no store."""
    if message is None:
        return b""
    payload = message.payload or b""
    kind = message.headers.get(CONTENT_TYPE_HEADER, JSON)
    if kind == JSON:
        return payload
    return _tried(lambda: _opened(payload, Content(kind)), payload)


def shown_result(result: bytes | None) -> bytes | None:
    """The result of a task, likewise; of one in the store, the reference to it."""
    if result is None or not result.startswith(b"\0"):
        return result
    if result.startswith(STORED):
        return result[len(STORED) :]
    return _tried(lambda: _of_result(unpack(result, MOST)), result)


def _opened(payload: bytes, content: Content) -> bytes:
    if content.encrypted or content.is_stored:
        return payload
    if content.compression:
        payload = decompressed(payload, content.compression, MOST)
    return _as_json(payload) if content.base == MSGPACK and payload[:1] != b"{" else payload


def _of_result(result: bytes) -> bytes:
    return _as_json(result[len(MSGPACK_RESULT) :]) if result.startswith(MSGPACK_RESULT) else result


def _as_json(data: bytes) -> bytes:
    """What msgpack holds, as JSON: bytes become base64, keys text."""
    plain: Any = msgspec.to_builtins(msgspec.msgpack.decode(data), str_keys=True)
    return msgspec.json.encode(plain)


def _tried(read: Callable[[], bytes], otherwise: bytes) -> bytes:
    try:
        return read()
    except (MessageError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return otherwise
