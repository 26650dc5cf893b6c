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
    opened = [pipeline.open(member) for member in work.members]
    refused = [one for one in opened if isinstance(one, Refusal)]
    payloads = [one for one in opened if not isinstance(one, Refusal)]
    if not payloads:
        return Built(work.number, refused=refused)
    template = TaskMessage.decode(work.template)
    message = crypto.close(joined(template, work.queue, work.id, work.group, payloads)).encode()
    if len(message) > most:
        return Built(work.number, refused=refused, size=len(message))
    return Built(work.number, message, refused)
