"""Python values to JSON and back: what both arguments and results share (pure).

msgspec does the work. Added here: pydantic models (found by their methods, so that pydantic is never
imported), subclasses of str, int and float, and the search for NaN and infinities, which msgspec writes as
null.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import cache, partial
from math import isfinite
from pathlib import PurePath
from typing import Any, get_args

import msgspec

from taskflow.errors import ResultNotSerializable
from taskflow.message.go_json import GoEncoder

ENCODING_ERRORS = (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError)
"""What encoding a value may raise: from msgspec, or from a model's own serialiser."""

DECODING_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding bytes may raise, for any bytes."""


class NotJSON(TypeError):
    """A value of this type has no form in JSON. Only the type's name is in the text."""


class Refused(ValueError):
    """A model refused a value. `where` and `what` name the field and the rule, never the value."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(what)
        self.where = where
        self.what = what


def is_model(type_: object) -> bool:
    """Tell a pydantic model's class (or one that works the same) from every other type.

    Args:
        type_: any type or annotation.

    Returns:
        Whether it can validate and dump itself.
    """
    return hasattr(type_, "model_validate_json") and hasattr(type_, "model_dump")


def to_plain(value: Any, *, exact: bool = False) -> Any:
    """Give msgspec a plain value for one that it does not know (its `enc_hook`).

    Args:
        value: the value.
        exact: of a model only what it is made of, so that it can be made again: no computed fields.

    Returns:
        A value that msgspec can write.

    Raises:
        NotJSON: there is none.
    """
    if isinstance(value, str):  # subclasses, as Django's SafeString: msgspec takes only str itself
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if is_model(type(value)):
        return value.model_dump(mode="json", by_alias=True, round_trip=exact)
    if isinstance(value, PurePath):
        return str(value)
    raise NotJSON(f"{type(value).__name__} cannot travel as JSON")


def from_plain(type_: type[Any], value: Any) -> Any:
    """Make a model or a path from plain JSON data (msgspec's `dec_hook`, which it asks for `object`, too).

    Args:
        type_: the model's or the path's class, or object.
        value: what the JSON held.

    Returns:
        The model, the path, or the value as it is.

    Raises:
        Refused: the model does not accept it.
    """
    if type_ is object:
        return value
    if issubclass(type_, PurePath):
        if not isinstance(value, str):
            raise Refused("", "a path is text")
        return type_(value)
    model: Any = type_
    try:
        # As JSON and not as Python values: a strict model takes a date as text only from JSON.
        return model.model_validate_json(ENCODER.encode(value), **_by_name(model))
    except ValueError as error:
        raise _refused(type_, error) from None


@cache
def _by_name(model: Any) -> dict[str, bool]:
    """Let a model take its fields by name, too: one that has an alias for input only writes the name. (From pydantic 2.11 on.)"""
    accepted = inspect.signature(model.model_validate_json).parameters
    return {"by_alias": True, "by_name": True} if {"by_alias", "by_name"} <= accepted.keys() else {}


def _refused(model: type[Any], error: ValueError) -> Refused:
    """Take from pydantic's error where and which rule; its own text shows the value."""
    first: dict[str, Any] = next(iter(getattr(error, "errors", list)()), {})
    rule = str(first.get("type", type(error).__name__)).replace("_", " ")
    return Refused(_place(model, first.get("loc", ())), rule)


def _place(model: Any, steps: Iterable[str | int]) -> str:
    """Write the way to a value inside a model. Only declared names are shown: others are data."""
    place = ""
    for step in steps:
        declared = getattr(model, "model_fields", {})
        field = declared.get(step) or next((f for f in declared.values() if f.alias == step), None)
        if field is not None:
            place += f".{step}"
            model = _model_within(field.annotation)
        else:
            place += f"[{step}]" if isinstance(step, int) else "[...]"
    return place


def _model_within(annotation: Any) -> Any:
    """Find the model in `Model | None`, `list[Model]` and the like."""
    if is_model(annotation):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_within(part))), None)


ENCODER = msgspec.json.Encoder(enc_hook=to_plain)
"""The encoder of results that nothing says the type of."""

EXACT_ENCODER = msgspec.json.Encoder(enc_hook=partial(to_plain, exact=True))
"""The encoder of what is made again on the other side."""

GO_ENCODER = GoEncoder(enc_hook=partial(to_plain, exact=True))
"""The same for arguments of tasks with a lock."""

MSGPACK_RESULT = b"\0tfm1"
"""The first bytes of a result in msgpack, which follows. No JSON and no text begins with them."""

_ANY_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def holds_non_finite(value: object) -> bool:
    """Look for NaN and infinities, for which JSON has no form. It is slow: ask only when a null was written.

    Args:
        value: a value that has just been encoded.

    Returns:
        Whether one is in it, at any depth.
    """
    if value is None or isinstance(value, str | int | bytes):
        return False
    waiting = [msgspec.to_builtins(value, str_keys=True, enc_hook=to_plain)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float):
            if not isfinite(item):
                return True
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, Iterable) and not isinstance(item, str | bytes):
            waiting.extend(item)
    return False


def encoding_problem(error: Exception) -> str:
    """Say why a value cannot be encoded, without showing it.

    Args:
        error: one of `ENCODING_ERRORS`.

    Returns:
        The end of a sentence.
    """
    if isinstance(error, NotJSON):
        return str(error)
    if isinstance(error, UnicodeEncodeError):
        return "text with a lone surrogate is not valid Unicode"
    if isinstance(error, RecursionError):
        return "it refers to itself, or is nested too deeply"
    if isinstance(error, TypeError) and str(error).startswith("Only dicts with"):
        return "the keys of a dict must be text or numbers"
    return f"it cannot be written as JSON ({type(error).__name__})"


def encode_result(value: object, *, exact: bool = False) -> bytes:
    """Write what a task returned: the plain JSON of the value, so that Go can read it.

    Args:
        value: anything that JSON can hold: also dataclasses, models, datetimes, UUIDs and so on.
        exact: whoever reads it makes the value again, by the function's annotation.

    Returns:
        The bytes for the field `result`.

    Raises:
        ResultNotSerializable: it cannot; naming the type, never the value.

    Example:
        >>> encode_result({"width": 800})
        b'{"width":800}'
    """
    encoder = EXACT_ENCODER if exact else ENCODER
    try:
        data = encoder.encode(value)
    except ENCODING_ERRORS as error:
        raise ResultNotSerializable(_result_problem(value, encoding_problem(error))) from None
    if b"null" in data and holds_non_finite(value):
        raise ResultNotSerializable(_result_problem(value, "JSON has no NaN and no infinity"))
    return data


def decode_result(data: bytes) -> Any:
    """Read a result that Python or Go wrote. Go may write any bytes.

    Args:
        data: the field `result`.

    Returns:
        The value when it is JSON (or msgpack behind our mark), else text, else the bytes themselves.

    Example:
        >>> decode_result(b'{"width":800}'), decode_result(b"done"), decode_result(b"\\xff")
        ({'width': 800}, 'done', b'\\xff')
    """
    try:
        if data.startswith(MSGPACK_RESULT):
            return msgspec.msgpack.decode(data[len(MSGPACK_RESULT) :])
        return _ANY_DECODER.decode(data)
    except DECODING_ERRORS:
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _result_problem(value: object, problem: str) -> str:
    return (
        f"the task returned a value of type {type(value).__name__} that cannot be kept as a result: {problem}"
    )
