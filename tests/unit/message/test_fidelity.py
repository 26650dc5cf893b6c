"""What is sent arrives, or is refused by name: the less common ways of getting lost. (docs/values.md has the common ones.)"""

from __future__ import annotations

import dataclasses
from datetime import datetime, time
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from taskflow.errors import InvalidArguments
from taskflow.message.signature import Signature

T = TypeVar("T")

BERLIN = ZoneInfo("Europe/Berlin")


class Unlike:
    """Equal to itself only, as a lock is."""


@dataclasses.dataclass(eq=False)
class Uncompared:
    a: int


@dataclasses.dataclass
class Late:
    a: int
    b: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.b = self.a * 2


@dataclasses.dataclass
class Quarrelsome:
    a: int

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


class Node(msgspec.Struct):
    left: Node | None = None
    names: list[str] = []


class Renamed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str = pydantic.Field(validation_alias="firstName")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        return len(self.name)


class Written(pydantic.BaseModel):
    name: str = pydantic.Field(serialization_alias="firstName")


class Shouting(pydantic.BaseModel):
    name: str

    @pydantic.field_validator("name")
    @classmethod
    def shout(cls, value: str) -> str:
        return value + "!"


class Private(pydantic.BaseModel):
    name: str = ""
    _lock: Any = pydantic.PrivateAttr(default_factory=Unlike)
    _seen: int = 0


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


class Team(pydantic.BaseModel):
    members: list[Private] = []


def changed(late: Late) -> Late:
    late.b = 7
    return late


def seen(private: Private) -> Private:
    private._seen = 3
    return private


def there_and_back(annotation: Any, value: Any, **extra: Any) -> Any:
    def task(value, **more): ...  # type: ignore[no-untyped-def]

    task.__annotations__ = {"value": annotation, "more": annotation}
    signature = Signature.of(task)
    return signature.decode(signature.encode((value,), extra, limit=None, name="x"))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Late, Late(1)),
        (Node, Node(Node(), ["a"])),
        (datetime, datetime(2030, 1, 1, tzinfo=BERLIN)),
        (Private, Private(name="n")),
        (Renamed, Renamed(firstName="n")),
        (dict[str, Node | None], {"a": Node(), "b": None}),
    ],
)
def test_what_survives_is_not_refused(annotation: Any, value: Any) -> None:
    """A model that computes a field and forbids others, an alias for input only, a private attribute that each makes itself."""
    arrived = there_and_back(annotation, value, other=value)

    if not isinstance(value, Private):
        assert arrived == {"value": value, "other": value}
    assert type(arrived["other"]) is type(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Uncompared, Uncompared(1)),
        (Quarrelsome, Quarrelsome(1)),
        # An hour that the clocks show twice: for Python it is in no two zones the same.
        (datetime, datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)),
        (list[time], [time(3, 4, tzinfo=ZoneInfo("UTC"))]),
        (tuple[int, ...], [1, 2]),
        (set[str], ["a", "b", "a"]),
        (list[Any], [b"bytes", (1, 2)]),
        (dict[int, str], {"1": "a"}),
        (Page[int], Page(items=[1])),
        (Node, {"names": []}),
        (dict[str, Any], {"a": {1: 2}, "b": {3}}),
    ],
)
def test_what_is_converted_or_cannot_be_compared_is_not_refused(annotation: Any, value: Any) -> None:
    assert "value" in there_and_back(annotation, value)


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (Late, changed(Late(1)), r"argument `value\.b`: it would arrive with another value"),
        (Written, Written(name="n"), r"`value\.name`|refused by its model \(missing\)"),
        (Shouting, Shouting(name="n"), r"argument `value\.name`: it would arrive with another value"),
        (Private, seen(Private()), r"argument `value\._seen`: private attributes do not travel"),
        (Team, Team(members=[Private(), seen(Private())]), r"argument `value\.members\[1\]\._seen`: private"),
        (Any, Shouting(name="n"), r"argument `value`: `Shouting\.name`: it would arrive with another value"),
        (
            Any,
            [{"a": Written(name="n")}],
            r"argument `value`: Written refuses its own JSON at `\.name` \(missing\)",
        ),
        (list[str], ["a", b"b"], r"argument `value\[1\]`: bytes would arrive as base64"),
    ],
)
def test_what_is_lost_is_named(annotation: Any, value: Any, words: str) -> None:
    with pytest.raises(InvalidArguments, match=words):
        there_and_back(annotation, value)


def test_what_is_lost_among_the_arguments_without_a_parameter_is_named_too() -> None:
    with pytest.raises(InvalidArguments, match=r"argument `other\._seen`: private attributes do not travel"):
        there_and_back(Private, Private(), other=seen(Private()))
