"""`TaskRecord`: all that is kept of a task, with its arguments and its result, as `AsyncResult.record()` gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..broker.commands.read import Snapshot
from ..errors import MessageError, ResultMissing, ResultNotTrusted, ResultUnreadable, SignatureError
from ..message.content import CONTENT_TYPE_HEADER, MSGPACK
from ..message.payload import DECODING_ERRORS, decode_result
from ..states import State
from .result_info import ResultInfo, info_of
from .verdict import Asked, opened


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """All that the queue has of a task at one moment.

    Args:
        info: what `AsyncResult.info()` says, but for what the task has said of itself.
        headers: what the caller put into `headers`, and taskflow's own.
        kwargs: its arguments by name, as they travelled: what their JSON holds.
        result: what it returned, as its JSON holds it; None while it has not ended well.
        error_type: the name of the exception's type with which it has failed for good, or a word in its place ("Expired",
            "TaskCancelled"); "" while it has not.
    """

    info: ResultInfo
    headers: Mapping[str, str]
    kwargs: Mapping[str, Any] = field(repr=False)
    result: Any = field(repr=False)
    error_type: str = ""


def record_of(handle: Asked, snapshot: Snapshot) -> TaskRecord:
    """What was read of a task, opened with the app's keys.

    Args:
        handle: on the task.
        snapshot: what was read.

    Raises:
        ResultMissing: the queue does not know it.
        ResultUnreadable: arguments or result are encrypted, with a key that the app does not have, or are no arguments.
        ResultNotTrusted: the app has keys, and nobody who has one of them wrote them.
    """
    info = info_of(snapshot, handle.id, handle.queue, handle._asked)
    message = snapshot.message
    if message is None:
        raise ResultMissing(f"{handle._asked} task {handle.id}", task_id=handle.id)
    crypto, id = handle._client.crypto, handle.id.encode("utf-8", "surrogateescape")
    try:
        crypto.check_signature(message, handle.queue, id)
        payload = crypto.open(message, handle.queue, id) or b"{}"
        kwargs = _decoded(payload, message.headers.get(CONTENT_TYPE_HEADER, ""))
    except SignatureError as error:
        raise ResultNotTrusted(
            f"the arguments of task {handle.id} are not trusted: {error}", task_id=handle.id
        ) from None
    except MessageError as error:
        raise ResultUnreadable(f"task {handle.id} {error}", task_id=handle.id) from None
    except DECODING_ERRORS:
        raise ResultUnreadable(
            f"the arguments of task {handle.id} are no JSON object, which is what taskflow's tasks have",
            task_id=handle.id,
        ) from None
    result = opened(handle, snapshot) if info.state is State.COMPLETED else None
    value = None if result is None else decode_result(result)
    return TaskRecord(info, dict(message.headers), kwargs, value, snapshot.error_type)


def _decoded(payload: bytes, kind: str) -> dict[str, Any]:
    decoder = msgspec.msgpack if kind.partition("; ")[0] == MSGPACK else msgspec.json
    decoded: dict[str, Any] = decoder.decode(payload, type=dict[str, Any])
    return decoded
