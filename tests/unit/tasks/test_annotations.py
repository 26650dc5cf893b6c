"""Annotations that JSON has no form for: those that work all the same, and what is said about those that cannot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import pydantic
import pytest

from taskflow.errors import InvalidArguments, InvalidSignature
from taskflow.message.signature import Signature


@dataclass
class Address:
    street: str


@dataclass
class Checked:
    value: str


class User(pydantic.BaseModel):
    name: str


class Strict(pydantic.BaseModel, strict=True):
    number: int


@pytest.mark.parametrize(
    ("type_", "way_out"),
    [
        (bytes | str, r"nobody could tell which was sent: annotate it with one of them \(str\)"),
        (UUID | str, r"annotate it with one of them \(str\)"),
        (Path | str, r"\(a path with str\)"),
        (User | Strict, "put the union into a pydantic RootModel"),
        (list[int] | set[int], "in JSON all of these are lists"),
        (Address | Checked, "make them Structs with tags"),
    ],
)
def test_a_union_that_json_cannot_tell_apart_is_refused_with_a_way_out(type_: Any, way_out: str) -> None:
    """The error said what msgspec does not support, and not what to write."""

    def task(value) -> None: ...  # type: ignore[no-untyped-def]

    task.__annotations__["value"] = type_
    with pytest.raises(InvalidSignature, match=way_out):
        Signature.of(task)


@pytest.mark.parametrize("type_", [Path, PurePosixPath, Path | None, list[Path]])
def test_a_path_is_text_on_its_way(type_: Any) -> None:
    def task(value) -> None: ...  # type: ignore[no-untyped-def]

    task.__annotations__["value"] = type_
    signature = Signature.of(task)
    value: Any = (
        [Path("a")] if type_ == list[Path] else PurePosixPath("a") if type_ is PurePosixPath else Path("a")
    )

    payload = signature.encode((value,), {}, limit=None, name="x")

    assert json.loads(payload) == {"value": ["a"] if type_ == list[Path] else "a"}
    assert signature.decode(payload) == {"value": value}
    with pytest.raises(InvalidArguments, match=r"argument `value.*refused by its|expected array"):
        signature.decode(b'{"value":5}')
