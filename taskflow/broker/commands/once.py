"""Commands that are carried out once, and say what they did, however often they have to be sent."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..command import Command
from ..keys import QueueKeys
from ..scripts import Script

T = TypeVar("T")


def once(
    script: Script, keys: QueueKeys, names: Sequence[str], args: Sequence[Any], parse: Callable[[Any], T]
) -> Command[T]:
    """A call whose reply the server notes for a minute, if the call changed anything.

    When the reply is lost, the re-sent call is not carried out once more: it gets that reply. So what an
    operator is told (how many tasks, whether the queue was paused already) is right in any case, and a caller that
    repeats until nothing is left does not stop early (design, section 3, rule 4).

    Args:
        script: includes `replied`; its keys begin with `answer`, its arguments with `resent`.
        keys: of the queue.
        names: the other keys.
        args: the other arguments.
        parse: turns the reply, a number or a list of numbers and texts, into a value.
    """
    answer = keys.answer(uuid.uuid4().hex)
    return Command(script, [answer, *names], [0, *args], parse, keys.slot, resend_flag=0)
