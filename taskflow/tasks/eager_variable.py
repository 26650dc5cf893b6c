"""`TASKFLOW_EAGER`: eager mode for apps that do not say."""

from __future__ import annotations

import os

from ..errors import InvalidOption

VARIABLE = "TASKFLOW_EAGER"

_WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
    "": False,
}


def is_eager() -> bool:
    """Whether the environment asks for eager mode.

    Raises:
        InvalidOption: the variable is set to something else than yes or no.
    """
    given = os.environ.get(VARIABLE, "")
    try:
        return _WORDS[given.strip().lower()]
    except KeyError:
        raise InvalidOption(
            f"{VARIABLE} is {given!r}: write 1 (tasks run where they are enqueued) or 0"
        ) from None
