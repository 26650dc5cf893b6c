"""Results are what the function's annotation says, or their JSON, or an error: never something else by that name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

import pydantic
import pytest

from taskflow import TaskFlow
from taskflow.errors import ResultMismatch, ResultNotSerializable
from taskflow.message.returns import Returns, Unfit


class Out(pydantic.BaseModel):
    total: Decimal


class Other(pydantic.BaseModel):
    message: str


class Computing(pydantic.BaseModel, extra="forbid"):
    width: int

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.width**2


@dataclass
class Left:
    left: int


@dataclass
class Right:
    right: int


class Nothing:
    """JSON cannot be made into it."""


def returning(annotation: Any) -> Callable[..., Any]:
    def task() -> Any: ...

    task.__annotations__ = {"return": annotation}
    return task


def there_and_back(annotation: Any, value: Any) -> Any:
    returns = Returns(returning(annotation))
    return returns.read(returns.encode(value))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Out, Out(total=Decimal("1.10"))),
        (Out | None, None),
        (list[Out], [Out(total=Decimal(1))]),
        ("Later", None),
        (Computing, Computing(width=3)),
        (Out | Other, Other(message="no")),
        (Left | Right | None, Right(1)),
        (Left | Right | None, None),
        (tuple[Decimal, UUID], (Decimal("0.1"), UUID(int=1))),
    ],
)
def test_a_result_is_converted_by_the_annotation(annotation: Any, value: Any) -> None:
    """Also one of a union that msgspec does not tell apart, and one whose model computes a field that it refuses to read."""
    if annotation == "Later":
        value = Later(1)

    arrived = there_and_back(annotation, value)

    assert arrived == value
    assert type(arrived) is type(value)


@dataclass
class Later:
    """Stands below what is annotated with it."""

    number: int


@pytest.mark.parametrize(
    ("annotation", "value", "raw"),
    [
        (None, 5, 5),
        (Any, Decimal(1), "1"),
        (object, (1,), [1]),
        (NoReturn, 5, 5),
        ("NoSuchThing", Decimal(1), "1"),
        (Nothing, {"a": 1}, {"a": 1}),
        (Iterable[int], [1], [1]),
        (UUID | str, UUID(int=1), str(UUID(int=1))),
        (Left | Nothing, Left(1), {"left": 1}),
    ],
)
def test_what_nothing_is_known_of_is_its_json(annotation: Any, value: Any, raw: Any) -> None:
    assert there_and_back(annotation, value) == raw


@pytest.mark.parametrize(
    ("annotation", "data", "words"),
    [
        (int, b'"secret"', "expected int, got str"),
        (str, b"null", "expected str, got null"),
        (Out, b'{"sum":"secret"}', r"field `total`: refused by its model \(missing\)"),
        (list[Out], b'[{"total":1},{"total":"secret"}]', r"field `\[1\]\.total`: refused by its model"),
        (Left, b'{"right":"secret"}', "missing field `left`"),
        (Left | Right, b'{"middle":"secret"}', "missing field"),
        (int, b"done", "it is not JSON"),
    ],
)
def test_what_does_not_fit_is_an_error_without_the_value(annotation: Any, data: bytes, words: str) -> None:
    with pytest.raises(Unfit, match=words) as caught:
        Returns(returning(annotation)).read(data)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "data", "value"),
    [
        (str, b"done", "done"),
        (bytes, b"\xff", b"\xff"),
        (str, b'"done"', "done"),
        (str | None, b"null", None),
    ],
)
def test_what_go_writes_is_taken_for_the_text_that_it_is(annotation: Any, data: bytes, value: Any) -> None:
    assert Returns(returning(annotation)).read(data) == value


def test_the_annotation_behind_a_decorator_is_a_guess() -> None:
    """What a decorator returns nobody knows: its wrapper shows the annotation of what it wraps."""

    def count() -> int:
        return 3

    @functools.wraps(count)
    def as_text() -> str:
        return str(count())

    assert Returns(as_text).read(b'"3"') == "3"
    assert Returns(as_text).read(b"3") == 3


@pytest.mark.parametrize(
    ("annotation", "value"), [(int, "text"), (Out, {"any": "thing"}), (Left, Decimal(1))]
)
def test_a_result_that_is_not_of_the_annotation_is_kept_all_the_same(annotation: Any, value: Any) -> None:
    """The task has run: another attempt would do its work again."""
    assert Returns(returning(annotation)).encode(value)


def test_only_what_is_no_json_cannot_be_kept() -> None:
    with pytest.raises(ResultNotSerializable):
        Returns(returning(float)).encode(float("nan"))


def test_eager_results_are_converted_too() -> None:
    app = TaskFlow("shop", eager=True, retention=60, signing_keys=["sixteen bytes and more"])

    @app.task
    def total() -> Out:
        return Out(total=Decimal("1.10"))

    @app.task
    def lie() -> int:
        return "three"  # type: ignore[return-value]

    def pair() -> tuple[int, Decimal]:
        return 1, Decimal(2)

    assert total.delay().get() == Out(total=Decimal("1.10"))
    assert app.submit(pair).get() == (1, Decimal(2))
    with pytest.raises(
        ResultMismatch, match=r"lie' is annotated to return: expected int, got str; app\.result"
    ) as caught:
        lie.delay().get()
    assert caught.value.task_id
    assert "three" not in str(caught.value)
