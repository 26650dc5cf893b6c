"""Makes the message that takes the place of a group's tasks, with the app's keys: what the worker process cannot do."""

from __future__ import annotations

from ..message.joined import joined
from ..message.message_crypto import MessageCrypto
from ..message.task_message import TaskMessage
from ..pipe.frames import Build, Built, Refusal
from .run import Pipeline


def build(pipeline: Pipeline, crypto: MessageCrypto, work: Build, most: int) -> Built:
    """Check and open the members, join those that may be, and close what comes of it as `.delay()` would.

    Args:
        pipeline: which says of each member what it would say if it were to be run.
        crypto: the app's keys.
        work: what is to be built.
        most: bytes that a message may have.
    """
    refused: list[Refusal] = []
    payloads: list[bytes] = []
    size = 0
    for member in work.members:
        opened = pipeline.open(member)
        if isinstance(opened, Refusal):
            refused.append(opened)
            continue
        payloads.append(opened)
        size += len(opened)
        if size > most and len(payloads) > 1:
            # What they are here, not what was stored: of what is compressed or in the app's store a message tells nothing.
            return Built(work.number, refused=refused, size=size)
    if not payloads:
        return Built(work.number, refused=refused)
    template = TaskMessage.decode(work.template)
    plain = joined(template, work.queue, work.id, work.group, payloads)
    if len(plain.payload or b"") > most:  # no worker would open it, however small it is when it is closed
        return Built(work.number, refused=refused, size=len(plain.payload or b""))
    message = crypto.close(plain).encode()
    if len(message) > most:
        return Built(work.number, refused=refused, size=len(message))
    return Built(work.number, message, refused)
