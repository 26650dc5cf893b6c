"""What fails again and again in a worker: who it befalls, since when, and how it is said.

Said at once and then once a minute, as long as it lasts: an error that is said once is gone from the log when somebody looks. All
whom the same befalls are one line: a worker with a hundred queues has six hundred loops.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from dataclasses import dataclass, field

from ...errors import BrokerUnavailable, TaskFlowError

logger = logging.getLogger("taskflow.worker")

SAY_SECONDS = 60.0
"""So often the same is said again."""

MOST_TEXTS = 100
"""So many different ones are told apart; a text that holds a number must not make a line of each."""

_SECONDS = re.compile(r"-?\d+\.\d+ s\b")
"""The parts of a text that change from one time to the next while the error is the same."""

SHOWN = 20
"""Complaints that health lists."""


@dataclass(slots=True)
class _Matter:
    """One thing that goes wrong, whoever it befalls: `sufferers` by name, since when (monotonic)."""

    grave: bool
    said_at: float = 0.0
    open: bool = False
    """It was said, and its end was not."""
    sufferers: dict[str, float] = field(default_factory=dict)


class Troubles:
    """All that fails just now.

    A broker that is away is no fault of this worker, and a restart of it would mend nothing: that is said, and leaves health
    green. Everything else is grave: a refused login, a script that fails, an error that nobody thought of.
    """

    def __init__(self) -> None:
        self._matters: dict[str, _Matter] = {}
        self._sufferers: dict[str, str] = {}

    def failed(self, who: str, error: BaseException, *, grave: bool | None = None, note: str = "") -> None:
        """It failed (again).

        Args:
            who: a loop or another part, by the name that people read.
            error: why.
            grave: whether that makes health red; None: unless the broker is only away.
            note: what it means, put behind the error.
        """
        text = _SECONDS.sub("some seconds", describe(error)) + (f"; {note}" if note else "")
        if text not in self._matters and len(self._matters) >= MOST_TEXTS:
            text = f"{type(error).__name__}, as others before"
        now = time.monotonic()
        before = self._sufferers.get(who)
        since = now
        if before is not None and before != text:
            since = self._matters[before].sufferers.pop(who, now)
        is_grave = _is_grave(error) if grave is None else grave
        matter = self._matters.setdefault(text, _Matter(is_grave))
        self._sufferers[who] = text
        matter.sufferers.setdefault(who, since)
        if not matter.said_at or now - matter.said_at >= SAY_SECONDS:
            matter.said_at, matter.open = now, True
            unexpected = not isinstance(error, TaskFlowError | OSError)
            logger.log(
                logging.ERROR if is_grave else logging.WARNING,
                "%s",
                _sentence(text, matter, now),
                exc_info=error if unexpected else None,
            )

    def worked(self, who: str) -> None:
        """It has succeeded, or does not try any more."""
        text = self._sufferers.pop(who, None)
        if text is None:
            return
        matter = self._matters[text]
        since = matter.sufferers.pop(who, 0.0)
        if matter.sufferers:
            return
        now = time.monotonic()
        if matter.open:
            matter.open = False
            logger.info("%s: it is over after %.0f s (%s)", who, now - since, text)
        # An error that comes and goes is also said only once a minute: so it is remembered a little longer than it lasts.
        for old in [key for key, one in self._matters.items() if _is_past(one, now)]:
            del self._matters[old]

    def complaints(self) -> list[str]:
        """What is grave, a line for each."""
        now = time.monotonic()
        found = [
            _sentence(text, matter, now)
            for text, matter in self._matters.items()
            if matter.grave and matter.sufferers
        ]
        return found[:SHOWN] + ([f"{len(found) - SHOWN} more"] if len(found) > SHOWN else [])


def describe(error: BaseException) -> str:
    """An error in one line. The words of one that nobody thought of stay in the log: health may be read by others."""
    if isinstance(error, TaskFlowError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or type(error).__name__}{f': {error.filename}' if error.filename else ''}"
    if type(error).__module__.partition(".")[0] == "redis":
        # The first line is the server's own words; below, a script's error may quote its input.
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
    return f"unexpected {type(error).__name__}"


def _is_grave(error: BaseException) -> bool:
    """Whether it is more than a broker that is away. Who has no descriptor left for a connection cannot reach it either."""
    return not isinstance(error, BrokerUnavailable) or os.strerror(errno.EMFILE) in str(error)


def _is_past(matter: _Matter, now: float) -> bool:
    return not matter.sufferers and now - matter.said_at >= SAY_SECONDS


def _sentence(text: str, matter: _Matter, now: float) -> str:
    names = list(matter.sufferers)
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    lasted = now - min(matter.sufferers.values())
    return f"{names[0]}{others}: {text}" + (f" (for {lasted:.0f} s now)" if lasted >= 1 else "")
