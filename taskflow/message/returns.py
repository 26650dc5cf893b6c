"""What a task's function returns: its result, converted by the annotation as arguments are (pure)."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from taskflow.message.argument_errors import decoding_problem
from taskflow.message.parameters import look_up, scope_of, type_problem
from taskflow.message.payload import DECODING_ERRORS, MSGPACK_RESULT, decode_result, encode_result, from_plain

_ANYTHING = (Any, object, None, type(None), typing.NoReturn, typing.Never, inspect.Signature.empty)


class Unfit(ValueError):
    """A result does not fit the annotation. The text says where and why, never the value."""


class Returns:
    """The type of a function's results. It is looked up at the first use: classes may stand further down in the module.

    Without an annotation, or with one that JSON cannot be made into, a result is what its JSON holds.

    Args:
        function: the task's function.

    Example:
        >>> def total(order: int) -> Decimal: ...
        >>> Returns(total).read(b'"1.10"')
        Decimal('1.10')
    """

    __slots__ = ("_decoders", "_function", "_packed_decoders", "_types")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._types: Sequence[Any] | None = None
        self._decoders: Sequence[Callable[[bytes], Any]] = ()
        self._packed_decoders: Sequence[Callable[[bytes], Any]] = ()

    def encode(self, value: object) -> bytes:
        """Write a result, whether or not it is of the annotated type: it has been worked for.

        Raises:
            ResultNotSerializable: JSON cannot hold it.
        """
        return encode_result(value, exact=bool(self._known()))

    def read(self, data: bytes) -> Any:
        """Read a result that Python or Go wrote.

        Raises:
            Unfit: it does not fit the annotation.
        """
        if not self._known():
            return decode_result(data)
        fitting: list[Any] = []
        problem = ""
        packed = data.startswith(MSGPACK_RESULT)
        for decode in self._packed_decoders if packed else self._decoders:
            try:
                fitting.append(decode(data[len(MSGPACK_RESULT) :] if packed else data))
            except DECODING_ERRORS as error:
                problem = decoding_problem(error, {}, noun="field")
        if len(fitting) == 1:
            return fitting[0]
        found = decode_result(data)
        if fitting or self._takes(found) or hasattr(self._function, "__wrapped__"):
            # Returned as its JSON holds it: more than one type of a union fits; or Go wrote something that is no JSON; or a
            # decorator wraps the function, so that its annotation need not be true of what the decorator returns.
            return found
        raise Unfit(problem)

    def _takes(self, found: Any) -> bool:
        """Whether text or bytes that are no JSON are what is expected."""
        return isinstance(found, str | bytes) and type(found) in self._known()

    def _known(self) -> Sequence[Any]:
        """The types that a result may have; none when nothing is known of it."""
        if self._types is None:
            found = _types_of(self._function)
            self._decoders = [msgspec.json.Decoder(type_, dec_hook=from_plain).decode for type_ in found]
            self._packed_decoders = [
                msgspec.msgpack.Decoder(type_, dec_hook=from_plain).decode for type_ in found
            ]
            self._types = found  # set last: other threads take it as the sign that all of this is ready
        return self._types


def _types_of(function: Callable[..., Any]) -> Sequence[Any]:
    try:
        annotation = inspect.signature(function).return_annotation
        if annotation in _ANYTHING:
            return ()
        type_ = look_up(annotation, scope_of(function))
    except (NameError, AttributeError, TypeError, ValueError, SyntaxError):
        return ()
    if type_ in _ANYTHING:
        return ()
    if type_problem(type_) is None:
        return (type_,)
    # msgspec does not tell the members of this union apart: the result is of the one that it fits, if it fits only one.
    members = typing.get_args(type_) if typing.get_origin(type_) in (typing.Union, types.UnionType) else ()
    return members if members and all(type_problem(member) is None for member in members) else ()
