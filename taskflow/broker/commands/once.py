"""Commands that are carried out once, and say what they did, however often they have to be sent."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from ..builder import Build
from ..command import Command
from ..keys import QueueKeys

T = TypeVar("T")


def once(build: Build, queue: QueueKeys, parse: Callable[[Any], T], *rest: Any, **given: Any) -> Command[T]:
    """A call whose reply the server notes for a minute, if the call changed anything.

    When the reply is lost, the re-sent call is not carried out once more: it gets that reply. So what an
    operator is told (how many tasks, whether the queue was paused already) is right in any case, and a caller that
    repeats until nothing is left does not stop early.

    Args:
        build: of a script that includes `replied`; the key `answer` is given to it here.
        queue: the keys of the queue.
        parse: turns the reply, a number or a list of numbers and texts, into a value.
        rest: the keys and the arguments that take the rest, where the script has such.
        given: what else the script's head names.
    """
    return build(queue, parse, *rest, answer=queue.answer(uuid.uuid4().hex), **given)
