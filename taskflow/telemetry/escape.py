"""Foreign text as it may be shown, in the log, on a terminal, in JSON (pure).

Names, ids, errors and headers are written by whoever may write to the server. Shown as they are, they could begin a line
of their own, move the cursor, turn the order of what is read around, or look like another name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that Unicode counts as printable and nobody sees: fillers, joiners, variation selectors."""


def cut(text: str, most: int) -> str:
    """Foreign text may be a megabyte long: so many characters of it, and how many there are.

    Example:
        >>> cut("abcdef", 3)
        'abc… (6 characters)'
    """
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def printable(text: str) -> str:
    """Escape whatever is not seen as a character of its own.

    That is control characters (C0, DEL, C1), line and paragraph separators, marks of direction, what has no width,
    lone surrogates, and what is not assigned.

    Args:
        text: any text.

    Returns:
        The text with escapes as Python writes them.

    Example:
        >>> printable("a\\x1b[2Jb"), printable("a\\u202eb")
        ('a\\\\x1b[2Jb', 'a\\\\u202eb')
    """
    return text if _is_plain(text) else _replaced(text, _python_escape)


def printable_json(document: str) -> str:
    """The same for a JSON document, as `json.dumps` writes it: the value stays the same.

    Args:
        document: valid JSON, indented or not.

    Returns:
        The document; what is not printable in its texts is escaped as JSON does it.

    Example:
        >>> printable_json(json.dumps({"a": "\\x7f\\u2028"}, ensure_ascii=False))
        '{"a": "\\\\u007f\\\\u2028"}'
    """
    if _is_plain(document):
        return document
    # A line break in a text is escaped already: one that stands here is the document's own.
    return "\n".join(_replaced(line, _json_escape) for line in document.split("\n"))


def _is_plain(text: str) -> bool:
    return text.isprintable() and (text.isascii() or _BLANK.search(text) is None)


def _replaced(text: str, escape: Callable[[str], str]) -> str:
    return "".join([one if _is_plain(one) else escape(one) for one in text])


def _python_escape(one: str) -> str:
    return one.encode("unicode_escape").decode()


def _json_escape(one: str) -> str:
    return "\\u007f" if one == "\x7f" else json.dumps(one)[1:-1]
