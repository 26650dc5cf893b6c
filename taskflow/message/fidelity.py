"""Whether what arrives is what was sent: values that JSON or their own class would change on the way, named (pure).

An argument that is of another kind than its annotation is converted by it: a text becomes a datetime, a list a tuple, a dict a
model. That is wanted. What is looked for here is what gets lost: a field that is not restored, a subclass that arrives as its
base, a secret that is written as stars.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from typing import Any

import msgspec

from taskflow.message.go_json import GoEncoder
from taskflow.message.payload import NotJSON, Refused, from_plain, is_model, to_plain

EQUALITY_ERRORS = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What comparing may raise: a value's own `__eq__`, or arrays whose comparison is not one answer."""


@dataclasses.dataclass(frozen=True, slots=True)
class Loss:
    """What would not arrive.

    Args:
        where: the way to it inside the argument, as `.home.street`; only declared names are in it.
        why: the rest of the sentence.
    """

    where: str
    why: str


def loss(sent: Any, arrived: Any, where: str = "", *, untyped: bool = False) -> Loss | None:
    """Compare what was sent with what arrives.

    Args:
        sent: an argument.
        arrived: the same, after the way to the worker.
        where: the way to it.
        untyped: its type has places for anything, where bytes are base64 text, as docs/values.md says.

    Returns:
        The first thing that is lost; None when all arrives.
    """
    if sent is arrived or _equal(sent, arrived):
        return None
    if isinstance(sent, list | tuple) and isinstance(arrived, list | tuple):
        return _of_items(sent, arrived, where, untyped)
    if isinstance(sent, dict):
        return _of_dict(sent, arrived, where, untyped) if isinstance(arrived, dict) else None
    if isinstance(sent, list | tuple | set | frozenset) and isinstance(arrived, set | frozenset):
        return None if _as_set(sent) in (None, arrived) else Loss(where, "its items change on the way")
    if _is_object(sent):
        if not _is_object(arrived):  # its JSON, where nothing says what it is to become
            return None
        if not isinstance(
            arrived, type(sent)
        ):  # it may arrive as a subclass: a generic model arrives as one of its forms
            return Loss(
                where,
                f"{type(sent).__name__} would arrive as {type(arrived).__name__}; annotate it as it is sent",
            )
        return _of_object(sent, arrived, where, untyped)
    return None if untyped and isinstance(arrived, str) else _of_scalar(sent, arrived, where)


def checked(value: Any) -> Any:
    """As `to_plain` for arguments; it also compares each model with what its own JSON gives back, which nothing else would
    notice.

    Raises:
        NotJSON: with the model's field.
    """
    plain = to_plain(value, exact=True)
    if is_model(type(value)):
        try:
            arrived = from_plain(type(value), plain)
        except Refused as error:
            raise NotJSON(
                f"{type(value).__name__} refuses its own JSON at `{error.where or '.'}` ({error.what})"
            ) from None
        if found := loss(value, arrived):
            raise NotJSON(f"`{type(value).__name__}{found.where}`: {found.why}")
    return plain


def _equal(sent: Any, arrived: Any) -> bool:
    try:
        return bool(sent == arrived)
    except EQUALITY_ERRORS:
        return False


def _of_items(sent: Any, arrived: Any, where: str, untyped: bool) -> Loss | None:
    if len(sent) != len(arrived):
        return Loss(where, "its items change on the way")
    if _equal(list(sent), list(arrived)):
        return None
    for index, (one, other) in enumerate(zip(sent, arrived, strict=True)):
        if found := loss(one, other, f"{where}[{index}]", untyped=untyped):
            return found
    return None


def _of_dict(sent: Mapping[Any, Any], arrived: Mapping[Any, Any], where: str, untyped: bool) -> Loss | None:
    for key, value in sent.items():
        if key in arrived:
            # Only declared names are shown, and a key may be data.
            if found := loss(value, arrived[key], f"{where}[...]", untyped=untyped):
                return found
        elif isinstance(key, str) and all(isinstance(other, str) for other in arrived):
            return Loss(where, "it has a key that its type does not declare, which would not arrive")
    return None


def _as_set(values: Any) -> frozenset[Any] | None:
    try:
        return frozenset(values)
    except TypeError:
        return None


def _is_object(value: Any) -> bool:
    """Whether a value has fields that a class declares."""
    cls = type(value)
    return (
        isinstance(value, msgspec.Struct)
        or dataclasses.is_dataclass(cls)
        or hasattr(cls, "__attrs_attrs__")
        or is_model(cls)
    )


def _of_object(sent: Any, arrived: Any, where: str, untyped: bool) -> Loss | None:
    for name, value, other in _fields(sent, arrived):
        if found := loss(value, other, f"{where}.{name}", untyped=untyped):
            return dataclasses.replace(found, why=_reason(sent, name, value) or found.why)
    return None


def _fields(sent: Any, arrived: Any) -> Iterator[tuple[str, Any, Any]]:
    """The fields of two objects of one class, with their values."""
    cls: Any = type(sent)
    if is_model(cls):
        for fields in ("__dict__", "__pydantic_extra__", "__pydantic_private__"):
            mine, others = getattr(sent, fields, None) or {}, getattr(arrived, fields, None) or {}
            names = cls.model_fields if fields == "__dict__" else mine
            for name in names:
                yield name, mine.get(name), others.get(name)
        return
    if isinstance(sent, msgspec.Struct):
        names = cls.__struct_fields__
    elif dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls)]
    else:
        names = [attribute.name for attribute in cls.__attrs_attrs__]
    for name in names:
        yield name, getattr(sent, name, None), getattr(arrived, name, None)


def _reason(owner: Any, name: str, value: Any) -> str:
    """Why a field does not arrive, where that can be seen."""
    if hasattr(value, "get_secret_value"):
        return (
            f"a {type(value).__name__} is written as stars; give its field a serializer "
            f"(@field_serializer({name!r}, when_used='json')), or make it plain text"
        )
    if is_model(type(owner)):
        if name in (getattr(owner, "__pydantic_private__", None) or {}):
            return "private attributes do not travel; make it a field, or set it in the task"
        if getattr(type(owner).model_fields.get(name), "exclude", None):
            return "the field is excluded from the model's JSON, so it would not arrive"
    return ""


def _of_scalar(sent: Any, arrived: Any, where: str) -> Loss | None:
    if isinstance(sent, bytes | bytearray | memoryview) and isinstance(arrived, str):
        return Loss(where, "bytes would arrive as base64 text; annotate it with bytes")
    if isinstance(sent, int) and isinstance(arrived, float):
        return Loss(where, "the number has more digits than a float can hold; annotate it with int")
    if type(sent) is not type(arrived):
        return None
    if (
        isinstance(sent, datetime)
        and sent.tzinfo
        and arrived.tzinfo
        and sent.timestamp() == arrived.timestamp()
    ):
        return None  # in the hour that a clock shows twice, Python says that the same moment in two zones is not equal
    if isinstance(sent, time) or _has_no_value(sent) or _is_nan(sent):
        return None  # they have no value that could be compared
    return Loss(
        where, "it would arrive with another value (a validator changes it, or JSON does not restore it)"
    )


def _is_nan(sent: Any) -> bool:
    return isinstance(sent, float) and sent != sent


def _has_no_value(thing: object) -> bool:
    """Whether it is equal to itself only."""
    equals: object = type(thing).__eq__
    return equals is object.__eq__


CHECKED_ENCODER = msgspec.json.Encoder(enc_hook=checked)
"""The encoder of arguments of which some have no annotation."""

CHECKED_GO_ENCODER = GoEncoder(enc_hook=checked)
"""The same for tasks with a lock."""
