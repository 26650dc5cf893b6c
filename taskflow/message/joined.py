"""The task that takes the place of a group's tasks, from their arguments (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from .task_message import TaskMessage


def joined(
    template: TaskMessage, queue: str, id: str, group: bytes, payloads: Iterable[bytes]
) -> TaskMessage:
    """The message of a task that stands for others, open: no key has been used on it.

    Args:
        template: the message of the task that takes groups, without arguments.
        queue: where it is stored.
        id: under which id.
        group: the name of the group; what of it is no text is replaced.
        payloads: the plain arguments of each joined task.

    Example:
        >>> template = TaskMessage(type="send_many", payload=None, id="template", queue="mail")
        >>> joined(template, "mail", "id-1", b"digest", [b'{"to":1}', b"not JSON"]).payload
        b'{"group":"digest","items":[{"to":1},"not JSON"]}'
    """
    arguments = {"group": group.decode("utf-8", "replace"), "items": [_item(one) for one in payloads]}
    return replace(template, id=id, queue=queue, payload=msgspec.json.encode(arguments))


def _item(payload: bytes) -> object:
    """One joined task's arguments: JSON as it is, anything else as text."""
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return payload.decode("utf-8", "replace")
    return msgspec.Raw(payload)
