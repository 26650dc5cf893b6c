"""Arguments and results in msgpack, for tasks that ask for it (`serializer="msgpack"`) (pure).

What is said of JSON in `signature` and `returns` holds here, too, but for what msgpack can and JSON cannot: bytes, moments, NaN
and dicts with keys that are no text travel as they are, also where there is no annotation.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from taskflow.errors import InvalidSignature, ResultNotSerializable
from taskflow.message.fidelity import checked
from taskflow.message.parameters import Parameters
from taskflow.message.payload import ENCODING_ERRORS, MSGPACK_RESULT, encoding_problem, to_plain
from taskflow.message.returns import Returns
from taskflow.message.signature import Signature, _Extra

_EXACT: msgspec.msgpack.Encoder = msgspec.msgpack.Encoder(enc_hook=partial(to_plain, exact=True))
_CHECKED = msgspec.msgpack.Encoder(enc_hook=checked)
_RESULTS = msgspec.msgpack.Encoder(enc_hook=to_plain)
_LOCKED = msgspec.msgpack.Encoder(enc_hook=partial(to_plain, exact=True), order="deterministic")
_CHECKED_LOCKED = msgspec.msgpack.Encoder(enc_hook=checked, order="deterministic")

_MAPS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
"""The first bytes of a dict in msgpack. JSON has none of them."""


class MsgpackSignature(Signature):
    """How a task's function is called over the wire, in msgpack. JSON is read as well: what enqueues in Go writes nothing else.

    Raises:
        InvalidSignature: the function takes `**kwargs`.
    """

    __slots__ = ("_json",)

    _NOTHING = b"\x80"
    _ENCODERS = (_EXACT, _CHECKED, _LOCKED, _CHECKED_LOCKED)
    _DECODER = msgspec.msgpack.Decoder

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        if parameters.extra is not None:
            raise InvalidSignature(
                f"{parameters.function_name}: a task that takes `**{parameters.extra.name}` is JSON only; name its arguments, or "
                'leave out serializer="msgpack"'
            )
        self._json = Signature(parameters)

    def decode(self, payload: bytes | None, *, name: str | None = None) -> dict[str, Any]:
        """As `Signature.decode`, for msgpack and JSON."""
        if not payload or payload[0] not in _MAPS:
            return self._json.decode(payload, name=name)
        if self._struct is None:
            self._prepare_now()
        return self._read(payload, {}, name or self.parameters.function_name)

    def _refuse_non_finite(self, bound: Any, extra: _Extra, name: str) -> None:
        """Msgpack has NaN and infinities."""


class MsgpackReturns(Returns):
    """What a task's function returns, in msgpack behind a mark that says so: whoever reads it may not know the task."""

    def encode(self, value: object) -> bytes:
        """Write a result.

        Raises:
            ResultNotSerializable: msgpack cannot hold it.
        """
        try:
            return MSGPACK_RESULT + (_EXACT if self._known() else _RESULTS).encode(value)
        except ENCODING_ERRORS as error:
            raise ResultNotSerializable(
                f"the task returned a value of type {type(value).__name__} that cannot be kept as a result: "
                f"{encoding_problem(error).replace('JSON', 'msgpack')}"
            ) from None
