"""Tasks whose arguments and results are msgpack, without a server."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from taskflow import TaskFlow
from taskflow.errors import InvalidArguments, InvalidOption, InvalidSignature, ResultNotSerializable
from taskflow.message.msgpack_signature import MsgpackReturns, MsgpackSignature
from taskflow.message.payload import decode_result
from taskflow.message.returns import Returns

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@dataclass
class Order:
    number: int
    note: bytes


def take(order: Order, count: int = 1) -> Order:
    return order


def anything(value: Any = None) -> Any:
    return value


def encoded(function: Any, *args: Any, **kwargs: Any) -> bytes:
    return MsgpackSignature.of(function).encode(args, kwargs, limit=None, name="noop")


@pytest.mark.parametrize(
    "value", [b"\xff\x00", NOON, {1: "a", "b": b"c"}, [1, 2.5, None], {"a": {"b": [b""]}}]
)
def test_values_travel_as_they_are_without_an_annotation(value: Any) -> None:
    data = encoded(anything, value)
    assert MsgpackSignature.of(anything).decode(data) == {"value": value}


def test_nan_travels() -> None:
    assert math.isnan(MsgpackSignature.of(anything).decode(encoded(anything, math.nan))["value"])


def test_annotated_arguments_are_made_again_and_checked() -> None:
    signature = MsgpackSignature.of(take)
    data = encoded(take, Order(1, b"\xff"), count=2)
    assert signature.decode(data) == {"order": Order(1, b"\xff"), "count": 2}
    with pytest.raises(InvalidArguments, match="count"):
        encoded(take, Order(1, b""), count="many")
    with pytest.raises(InvalidArguments, match=r"`order\.number`"):
        signature.decode(msgspec.msgpack.encode({"order": {"number": "x", "note": b""}}))


def test_arguments_in_json_are_taken_too() -> None:
    """Go writes nothing else, and neither did the release before this one."""
    signature = MsgpackSignature.of(take)
    assert signature.decode(b' {"order":{"number":1,"note":"/w=="}}') == {"order": Order(1, b"\xff")}
    for nothing in (None, b"", b"null", b"{}", b"\x80"):
        assert MsgpackSignature.of(anything).decode(nothing) == {}


@pytest.mark.parametrize("data", [b"\x81", b"\xc1", b"\x81\xa1x", b"[]", b"\xff\xfe", b"\x81\xa5order\xc0"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArguments):
        MsgpackSignature.of(take).decode(data)


def test_a_lock_has_one_name_however_a_dict_is_ordered() -> None:
    signature = MsgpackSignature.of(anything)
    one, other = (
        signature.encode((value,), {}, canonical=True, limit=None, name="noop")
        for value in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    )
    assert one == other


def test_what_takes_arguments_by_any_name_is_json_only() -> None:
    def loose(**others: Any) -> None: ...

    with pytest.raises(InvalidSignature, match="JSON only"):
        MsgpackSignature.of(loose)


def test_a_result_is_read_with_and_without_its_task() -> None:
    def order() -> Order: ...  # type: ignore[empty-body]

    data = MsgpackReturns(order).encode(Order(1, b"\xff"))
    assert MsgpackReturns(order).read(data) == Order(1, b"\xff")
    assert Returns(order).read(data) == Order(1, b"\xff")
    assert decode_result(data) == {"number": 1, "note": b"\xff"}
    # Written by Go, or before the task was declared so.
    assert MsgpackReturns(order).read(b'{"number":1,"note":"/w=="}') == Order(1, b"\xff")


def test_a_result_that_cannot_be_written_names_its_type_and_not_its_value() -> None:
    with pytest.raises(ResultNotSerializable, match="object") as caught:
        MsgpackReturns(anything).encode({"secret": object()})
    assert "secret" not in str(caught.value)


def test_a_task_in_msgpack_runs_eagerly() -> None:
    app = TaskFlow("shop", eager=True, retention=60)
    task = app.task(serializer="msgpack")(anything)
    assert task.delay({1: b"\xff"}).get() == {1: b"\xff"}


def test_tasks_of_a_group_are_json() -> None:
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")
    task = app.task(serializer="msgpack")(anything)
    with pytest.raises(InvalidOption, match="joined as JSON"):
        task.options(group="digest")
    with pytest.raises(InvalidOption, match="joined as JSON"):
        app.task(serializer="msgpack", group="digest")(take)
