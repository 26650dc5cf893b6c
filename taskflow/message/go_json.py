"""JSON as Go's `encoding/json` writes it, for tasks with a lock (pure).

A lock's name holds the MD5 of the payload, so a Go client and a Python client agree on "the same task" only
when they write the same bytes. msgspec and Go differ in three things: Go escapes `<`, `>`, `&`, U+2028 and
U+2029, writes floats in its own way, and sorts the keys of maps (but keeps the order of a struct's fields).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

# In JSON these five stand only inside strings, so that replacing them blindly is safe.
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
_MAY_HOLD_FLOAT = re.compile(rb"\d[.eE]")
_STRING_OR_FLOAT = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?[eE][+-]?\d+|-?\d+\.\d+')


class GoEncoder:
    """Writes values as Go writes the structs and maps that correspond to them.

    dicts become maps (sorted), dataclasses and Structs become structs (in order of their fields).

    Args:
        enc_hook: what msgspec calls for a type that it does not know.

    Example:
        >>> GoEncoder().encode({"b": 1.0, "a": "<1e21>"})
        b'{"a":"\\\\u003c1e21\\\\u003e","b":1}'
    """

    __slots__ = ("_enc_hook", "_encoder")

    def __init__(self, enc_hook: Callable[[Any], Any] | None = None) -> None:
        self._enc_hook = enc_hook
        self._encoder = msgspec.json.Encoder(enc_hook=enc_hook, order="deterministic")

    def encode(self, value: object) -> bytes:
        """Write a value.

        Args:
            value: anything that msgspec can write.

        Returns:
            One JSON text, byte-equal to Go's.

        Raises:
            TypeError: something in it cannot be written as JSON.
        """
        try:
            data = self._encoder.encode(value)
        except TypeError:
            # msgspec sorts only keys that are text. As plain data all are; a dataclass is then sorted, too.
            data = self._encoder.encode(self._with_text_keys(value))
        return _as_go(data)

    def _with_text_keys(self, value: object) -> object:
        if isinstance(value, msgspec.Struct):  # the arguments: they stay in the order of the parameters
            fields = msgspec.structs.asdict(value).items()
            plain = {
                name: self._with_text_keys(field) for name, field in fields if field is not msgspec.UNSET
            }
            return msgspec.structs.replace(value, **plain)
        return msgspec.to_builtins(value, str_keys=True, enc_hook=self._enc_hook)


def _as_go(data: bytes) -> bytes:
    for character, escape in _ESCAPES:
        if character in data:
            data = data.replace(character, escape)
    if _MAY_HOLD_FLOAT.search(data):
        data = _STRING_OR_FLOAT.sub(_go_token, data)
    return data


def _go_token(match: re.Match[bytes]) -> bytes:
    token = match[0]
    return token if token.startswith(b'"') else _go_float(float(token)).encode()


def _go_float(number: float) -> str:
    """Write a float as Go: its shortest digits, with an exponent only below 1e-6 and from 1e21 on."""
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        # Through Decimal, since int(1.2345678901234568e19) would show digits that the float does not have.
        text = format(Decimal(repr(number)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return repr(number).replace("e-0", "e-")
