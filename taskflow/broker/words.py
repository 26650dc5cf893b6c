"""The words that scripts and their builders say to each other in the place of letters and numbers (pure).

A script says them by their names here, such as `Enqueued.CREATED`; the loader puts in what is sent. So Lua and Python cannot mean
two things by one number, and a name that is not here is an error at import.
"""

from __future__ import annotations

import re
from enum import Enum, IntEnum

from ..attempts import MOST_ATTEMPTS, MOST_BYTES
from ..states import Verb


class Enqueued(Enum):
    """What became of a new task."""

    CREATED = 1
    ALREADY_THERE = 2
    """A repeated call found the task that its first copy had written."""
    ID_TAKEN = 0
    DUPLICATE = -1
    """Never a reply: that is the id which holds the lock."""


class Notice(IntEnum):
    """What a dequeue says besides the tasks that it brings."""

    NONE = 0
    PAUSED = 1
    """The queue is paused."""
    NEVER_RAN = 2
    """It is a repetition, and the server has no record of the first copy."""
    LEFT_TO_OTHERS = 3
    """All that waits is left to others for a while: nobody here knew its name."""


class Joined(Enum):
    """What became of a join."""

    JOINED = 1
    ALREADY_JOINED = 2
    """A repeated call found the task that its first copy had written."""
    CHANGED = 0
    """Another worker joined some of them, or somebody took one out."""


class Refused(Enum):
    """What became of taking a task out of a group that is not to be joined."""

    REFUSED = 1
    ALREADY_REFUSED = 2
    """A repeated call found what its first copy had written."""
    CHANGED = 0
    """Another worker refused it, or it is another task by now, or somebody took it out."""


class Written(Enum):
    """What became of an outcome."""

    WRITTEN = 1
    ALREADY_WRITTEN = 2
    """A repeated call found what its first copy had written."""
    REFUSED = 0
    """The worker does not hold the task any more: somebody else has recovered it."""
    CANCELLED = 3
    """It was to be run again, and somebody has cancelled it: it is archived."""


class Delivered(Enum):
    """What became of a follower that was brought to its queue."""

    DELIVERED = 1
    ALREADY_THERE = 2
    """It was delivered before."""
    TOO_LATE = 3
    """Nobody can tell any more whether it was."""


class Moved(Enum):
    """What became of an order to move or delete a task."""

    MOVED = 1
    NO_SUCH_TASK = 0
    IS_ACTIVE = -1
    IS_THERE = -2
    """It is already in the state that it was told to go to."""
    IS_BEING_AGGREGATED = -3
    IS_COMPLETED = -4
    HAS_NOT_ENDED = -5
    """It waits, and what was asked for is for tasks that have ended."""
    IS_ELSEWHERE = -6
    """It is in another state than the one in which it was chosen."""


class Cancelled(Enum):
    """What became of an order to cancel a task."""

    ARCHIVED = 1
    ASKED = 2
    """It runs: whoever runs it is told, and it will not be run again."""
    NO_SUCH_TASK = 0
    IS_BEING_AGGREGATED = -3
    HAS_ENDED = -4


class Cancel(Enum):
    """What is stored of a task that is cancelled."""

    TEXT = "cancelled"
    """Its error."""
    ERROR = '{"type": "TaskCancelled", "text": "cancelled"}'
    """The same beside the message, as `message.outcome.error_facts` writes it."""
    LONG_AGO = "1"
    """Until when it may start, in Unix seconds: so nobody starts it."""


class Emptied(Enum):
    """What a step of a removal says."""

    GO_ON = 1
    HOLDS_TASKS = -1
    RUNS_TASKS = -2
    HAS_FOLLOWERS = -3
    """Its outbox has followers of ended tasks for other queues."""


class Stored(IntEnum):
    """What stands under the key of a task."""

    NOTHING = 0
    TASK = 1
    NO_MESSAGE = 2
    """A hash, and no message in it."""
    NO_HASH = 3


class Kept(IntEnum):
    """How much is kept of a task's attempts that failed."""

    ATTEMPTS = MOST_ATTEMPTS
    ATTEMPT_BYTES = MOST_BYTES


class Offset(IntEnum):
    """An offset that is none: how far a page of a survey came in a place."""

    AT_END = 0
    NOT_LOOKED_AT = -1


WORDS: dict[str, type[Enum]] = {
    words.__name__: words
    for words in (
        Enqueued,
        Notice,
        Joined,
        Refused,
        Written,
        Delivered,
        Moved,
        Cancelled,
        Cancel,
        Emptied,
        Stored,
        Kept,
        Offset,
        Verb,
    )
}

_WORD = re.compile(r"\b([A-Z][A-Za-z]+)\.([A-Z_]+)\b")


def put_in(script: str, text: str) -> str:
    """A text of the script `script` with what is sent in the place of these words.

    Raises:
        ValueError: the text has a word that is not here.
    """

    def literal(match: re.Match[str]) -> str:
        words = WORDS.get(match[1])
        if words is None or match[2] not in words.__members__:
            raise ValueError(f"{script}.lua says {match[0]}, which is not among the words")
        value = words[match[2]].value
        return f"'{value}'" if isinstance(value, str) else str(value)

    return _WORD.sub(literal, text)
