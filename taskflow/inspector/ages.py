"""Lengths of time as people write them: `45s`, `30m`, `1d12h` (pure)."""

from __future__ import annotations

import re

from ..errors import InvalidOption

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_NUMBER = re.compile(r"\d{1,9}(?:\.\d+)?")
_PART = re.compile(r"(\d{1,9}(?:\.\d+)?)([smhdw])")
_SPAN = re.compile(rf"(?:{_PART.pattern})+")


def parse_age(text: str) -> float:
    """A length of time in seconds, for `TaskFilter(older_than=...)`.

    Args:
        text: as `90`, `45s`, `30m`, `2h`, `1d12h`, `2w`.

    Raises:
        InvalidOption: it is none.

    Example:
        >>> parse_age("1d12h")
        129600.0
    """
    words = text.strip().lower()
    if _SPAN.fullmatch(words):
        return sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(words))
    if _NUMBER.fullmatch(words):
        return float(words)
    raise InvalidOption("write it as 45s, 30m, 2h, 1d12h or 2w; a bare number is seconds")
