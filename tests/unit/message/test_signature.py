"""Signature: from a call to JSON and back, and the words for what does not fit."""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.errors import InvalidArguments, InvalidSignature, PayloadTooLarge, ResultNotSerializable
from taskflow.message.payload import decode_result, encode_result
from taskflow.message.signature import Signature

if typing.TYPE_CHECKING:
    from collections import OrderedDict as OnlyForTypeCheckers

SECRET = "hunter2"


class Colour(Enum):
    RED = "red"


@dataclass
class Address:
    street: str
    zip: int = 0


class Point(msgspec.Struct):
    x: float
    y: float = 0.0


class Movie(TypedDict):
    title: str


class User(pydantic.BaseModel):
    name: str
    born: datetime | None = None
    home: Address | None = None
    friends: list[User] = []
    by_name: dict[str, User] = pydantic.Field({}, alias="byName")


class Strict(pydantic.BaseModel, strict=True):
    at: datetime


class Picky:
    """Refuses what it is given, and says the value."""


@dataclass
class Checked:
    value: str

    def __post_init__(self) -> None:
        if self.value == SECRET:
            raise ValueError(f"{self.value} is refused")


class CheckedModel(pydantic.BaseModel):
    value: str

    @pydantic.field_validator("value")
    @classmethod
    def refuse(cls, value: str) -> str:
        raise ValueError(f"{value} is refused")


def resize(src: str, width: int = 800) -> None: ...
def email(to: int, from_: int) -> None: ...
def anything(value: Any = None, other: Any = None) -> None: ...
def nothing() -> None: ...
def rest(to: int, from_: int = 0, **fields: Any) -> None: ...
def bound(task: Any, a: int, **fields: int) -> None: ...
def by_name(a: int, b: int | None = None, *, c: int, d: int = 4) -> None: ...
def user(user: User, others: list[User] | None = None) -> None: ...


def encode(function: Callable[..., Any], *args: Any, **kwargs: Any) -> bytes:
    return Signature.of(function).encode(args, kwargs, limit=None, name="x")


def decode(function: Callable[..., Any], payload: bytes | None) -> dict[str, Any]:
    return Signature.of(function).decode(payload, name="x")


# --- binding ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "payload"),
    [
        (resize, ("a.png",), {}, {"src": "a.png"}),
        (resize, ("a.png", 100), {}, {"src": "a.png", "width": 100}),
        (resize, (), {"width": 100, "src": "a.png"}, {"src": "a.png", "width": 100}),
        (email, (123, 456), {}, {"to": 123, "from": 456}),
        (nothing, (), {}, {}),
        (rest, (1,), {"x": [1], "from_": 2}, {"to": 1, "from": 2, "x": [1]}),
        (by_name, (1,), {"d": 2, "c": 3}, {"a": 1, "c": 3, "d": 2}),
    ],
)
def test_given_arguments_become_one_object_in_the_order_of_the_parameters(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], payload: dict[str, Any]
) -> None:
    """Defaults that were not given are not written: the worker's own apply."""
    written = encode(function, *args, **kwargs)
    assert json.loads(written) == payload
    assert list(json.loads(written)) == list(payload)


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "problem"),
    [
        (resize, (), {}, "missing argument `src`"),
        (email, (), {}, "missing arguments `to`, `from_`"),
        (by_name, (1,), {}, "missing argument `c`"),
        (resize, ("a", 1, 2), {}, "takes 2 positional arguments but 3 were given"),
        (nothing, (1,), {}, "takes 0 positional arguments but 1 was given"),
        (by_name, (1, 2, 3), {}, "takes 2 positional arguments but 3 were given"),
        (resize, ("a",), {"src": "b"}, "got multiple values for argument `src`"),
        (resize, ("a",), {"widht": 1}, r"got an unexpected argument `widht` \(did you mean `width`\?\)"),
        (email, (1,), {"from": 2}, r"unexpected argument `from` \(did you mean `from_`\?\)"),
        (rest, (1,), {"from": 2}, "give `from` as `from_`"),
    ],
)
def test_a_call_that_python_would_refuse_is_refused(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidArguments, match=f"^task 'x': .*{problem}"):
        encode(function, *args, **kwargs)


@given(
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), st.integers(), max_size=4),
)
def test_exactly_the_calls_that_python_accepts_are_accepted(args: list[int], kwargs: dict[str, int]) -> None:
    def accepted(call: Callable[[], object]) -> bool:
        try:
            call()
        except TypeError:
            return False
        return True

    assert accepted(lambda: encode(by_name, *args, **kwargs)) == accepted(lambda: by_name(*args, **kwargs))


def test_the_first_parameter_of_a_bound_task_does_not_travel() -> None:
    signature = Signature.of(bound, skip_first=True)
    assert signature.encode((1,), {"b": 2}, limit=None, name="x") == b'{"a":1,"b":2}'
    with pytest.raises(InvalidArguments, match="`task` is filled by taskflow"):
        signature.encode((1,), {"task": 2}, limit=None, name="x")
    with pytest.raises(InvalidArguments, match="unexpected argument `task`"):
        signature.decode(b'{"a":1,"task":2}')


# --- declaring -------------------------------------------------------------------------------------------


def star(*values: int) -> None: ...
def slash(a: int, /, b: int) -> None: ...
def callback(then: Callable[[int], int]) -> None: ...
def lazy(values: list[Iterable[int]]) -> None: ...
def custom(a: int, thing: dict[str, Picky]) -> None: ...
def ambiguous(value: Address | Point) -> None: ...
def dunder(__a: int) -> None: ...
def twice(from_: int, **fields: Picky) -> None: ...
def unpacked(**fields: typing.Unpack[Movie]) -> None: ...


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (star, r"star cannot be a task with `\*values`: .*`values: list`"),
        (slash, "positional-only parameter `a`.*remove the `/`"),
        (callback, r"callback: parameter `then` .*collections\.abc\.Callable"),
        (lazy, r"parameter `values` .*Iterable; use list\[\.\.\.\]"),
        (custom, r"custom: parameter `thing` .*Picky; use a dataclass"),
        (ambiguous, "parameter `value` has a type that cannot travel"),
        (dunder, "`__a` begins with two underscores"),
        (twice, "parameter `fields` .*Picky"),
        (unpacked, "parameter `fields` has a type that cannot travel"),
        (print, "cannot be a task with|cannot be read"),
    ],
)
def test_a_function_that_cannot_be_a_task_is_refused_when_it_is_declared(
    function: Callable[..., Any], problem: str
) -> None:
    with pytest.raises(InvalidSignature, match=problem):
        Signature.of(function)


def test_a_bound_task_needs_a_parameter_for_itself() -> None:
    with pytest.raises(InvalidSignature, match="bind=True"):
        Signature.of(nothing, skip_first=True)
    assert Signature.of(slash, skip_first=True).encode((1,), {}, limit=None, name="x") == b'{"b":1}'


def later(value: Later) -> None: ...


LATER = Signature.of(later)


@dataclass
class Later:
    a: int


def test_a_class_defined_further_down_is_found_at_the_first_use() -> None:
    assert LATER.decode(b'{"value":{"a":1}}') == {"value": Later(1)}


def hidden(value: OnlyForTypeCheckers[str, int], fine: int = 0) -> None: ...


def test_a_class_that_never_appears_is_named_at_the_first_use() -> None:
    signature = Signature.of(hidden)
    for use in (lambda: signature.decode(b"{}"), lambda: signature.encode((1,), {}, limit=None, name="x")):
        with pytest.raises(InvalidSignature, match=r"`value`.*'OnlyForTypeCheckers'.*TYPE_CHECKING"):
            use()


def test_an_unresolvable_return_type_does_not_matter() -> None:
    def task(a: int) -> NoSuchThing: ...  # type: ignore[name-defined, empty-body]  # noqa: F821

    assert encode(task, 1) == b'{"a":1}'


def test_wrapped_functions_partials_and_methods_have_their_own_parameters() -> None:
    @functools.wraps(resize)
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    class Service:
        def run(self, a: Address) -> None: ...

        def __call__(self, a: Address) -> None: ...

    assert encode(wrapper, "a.png") == b'{"src":"a.png"}'
    assert encode(functools.partial(resize, width=1), "a.png") == b'{"src":"a.png"}'
    for method in (Service().run, Service()):
        assert decode(method, b'{"a":{"street":"s"}}') == {"a": Address("s")}


def test_object_means_anything_as_any_does() -> None:
    def task(a: object, b: dict[str, object]) -> None: ...

    assert decode(task, b'{"a":[1],"b":{"c":null}}') == {"a": [1], "b": {"c": None}}


def test_a_default_of_none_allows_none() -> None:
    def task(a: int = None, b: User = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    assert decode(task, encode(task, None, None)) == {"a": None, "b": None}
    assert decode(task, encode(task, 1, User(name="n"))) == {"a": 1, "b": User(name="n")}


# --- types -----------------------------------------------------------------------------------------------

MOMENT = datetime(2024, 5, 1, 12, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (int, 2**70),
        (float, 1.5),
        (bool, True),
        (str, "größe \u2028"),
        (bytes, b"\x00\xff"),
        (datetime, MOMENT),
        (UUID, UUID(int=5)),
        (Decimal, Decimal("1.10")),
        (Colour, Colour.RED),
        (Literal["a", "b"], "b"),
        (Address, Address("s", 1)),
        (Point, Point(1.0)),
        (Movie, {"title": "t"}),
        (User, User(name="n", born=MOMENT, home=Address("s"))),
        (Strict, Strict(at=MOMENT)),
        (list[User], [User(name="n")]),
        (dict[str, Address | None], {"a": None, "b": Address("s")}),
        (dict[int, str], {1: "a"}),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (int | str | None, None),
    ],
)
@pytest.mark.parametrize("canonical", [False, True], ids=["plain", "canonical"])
def test_values_come_back_as_their_type(type_: Any, value: Any, canonical: bool) -> None:
    def task(value) -> None: ...  # type: ignore[no-untyped-def]

    task.__annotations__["value"] = type_
    signature = Signature.of(task)
    payload = signature.encode((value,), {}, canonical=canonical, limit=None, name="x")
    assert signature.decode(payload) == {"value": value}


class Text(str): ...


class Number(int): ...


class Real(float): ...


def test_subclasses_of_plain_types_travel_as_these() -> None:
    """As Django's SafeString, or numpy's float64."""
    assert encode(anything, [Text("a"), Number(1), Real(1.5)]) == b'{"value":["a",1,1.5]}'


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object(), "object cannot travel as JSON"),
        ([{"deep": 1j}], "complex cannot travel as JSON"),
        ((n for n in [1]), "generator cannot travel as JSON"),
        (Picky, "type cannot travel as JSON"),
        ({(1, 2): 3}, "keys of a dict must be text or numbers"),
        ("\ud800", "lone surrogate"),
        (float("nan"), "no NaN"),
        ([None, {"a": float("inf")}], "no NaN and no infinity"),
        ({"a": Address(float("-inf"))}, "no NaN"),  # type: ignore[arg-type]
        ([Real("nan")], "no NaN"),
    ],
)
@pytest.mark.parametrize("canonical", [False, True], ids=["plain", "canonical"])
def test_what_json_cannot_hold_is_refused_with_the_arguments_name(
    value: Any, problem: str, canonical: bool
) -> None:
    with pytest.raises(InvalidArguments, match=f"^task 'x': argument `other`: .*{problem}"):
        Signature.of(anything).encode((1, value), {}, canonical=canonical, limit=None, name="x")


def test_a_value_that_holds_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(InvalidArguments, match="argument `value`: it refers to itself"):
        encode(anything, ring)


def test_none_is_an_ordinary_value() -> None:
    assert encode(anything, None, [None]) == b'{"value":null,"other":[null]}'


# --- fitting ---------------------------------------------------------------------------------------------


def typed(
    n: int = 0,
    colour: Colour = Colour.RED,
    at: datetime = MOMENT,
    home: Address | None = None,
    model: User | None = None,
    checked: Checked | None = None,
    picky: CheckedModel | None = None,
    by_key: dict[str, int] | None = None,
    homes: list[Address] | None = None,
) -> None: ...


@pytest.mark.parametrize(
    ("argument", "value", "problem"),
    [
        ("n", SECRET, "argument `n`: expected int, got str"),
        ("n", 1.5, "argument `n`: expected int, got float"),
        ("n", True, "argument `n`: expected int, got bool"),
        ("n", None, "argument `n`: expected int, got null"),
        ("colour", SECRET, "argument `colour`: not one of the values that its type allows"),
        ("at", SECRET, "argument `at`: invalid RFC3339 encoded datetime"),
        ("home", {"street": 5}, "argument `home.street`: expected str, got int"),
        ("home", {"zip": 5}, "argument `home`: missing required field `street`"),
        ("homes", [{"street": 5}], r"argument `homes\[0\].street`: expected str, got int"),
        ("model", {"name": [SECRET]}, r"argument `model.name`: refused by its model \(string type\)"),
        ("model", {"title": SECRET}, r"argument `model.name`: refused by its model \(missing\)"),
        ("model", SECRET, r"argument `model`: refused by its model \(model type\)"),
        ("model", {"name": "n", "friends": [{"name": 1}]}, r"argument `model.friends\[0\].name`: .*"),
        ("model", {"name": "n", "byName": {SECRET: {}}}, r"argument `model.byName\[\.\.\.\].name`: .*"),
        ("checked", {"value": SECRET}, r"argument `checked`: refused by its type \(ValueError\)"),
        ("picky", {"value": SECRET}, r"argument `picky.value`: refused by its model \(value error\)"),
        ("by_key", {SECRET: "x"}, r"argument `by_key\[\.\.\.\]`: expected int, got str"),
    ],
)
def test_a_wrong_value_is_refused_there_and_here_and_never_shown(
    argument: str, value: Any, problem: str
) -> None:
    payload = json.dumps({argument: value}).encode()
    for attempt in (lambda: encode(typed, **{argument: value}), lambda: decode(typed, payload)):
        with pytest.raises(InvalidArguments, match=f"^task 'x': {problem}$") as caught:
            attempt()
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"[]", "must be a JSON object: expected object, got array"),
        (b"null", "missing argument `src`"),
        (b'"hunter2"', "must be a JSON object: expected object, got str"),
        (b"hunter2", "is not JSON"),
        (b'{"src":"a"', "is not JSON"),
        (b'{"src":"\xff"}', "is not valid UTF-8"),
        (b'{"src":"\\ud800"}', "is not JSON"),
        (b'{"width":1}', "missing argument `src`"),
        (b'{"src":"a","hight":1}', "unexpected argument `hight`"),
        (b'{"src":' + b"[" * 100_000, "nested too deeply|expected str, got array"),
        (b'{"src":"a","width":1e999}', "argument `width`"),
        (b'{"src":"a","width":' + b"1" * 5000 + b"}", "argument `width`: integer value out of range"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused(payload: bytes, problem: str) -> None:
    with pytest.raises(InvalidArguments, match=problem) as caught:
        decode(resize, payload)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("payload", [None, b"", b"{}", b"null", b" null\n"])
def test_no_payload_is_no_arguments(payload: bytes | None) -> None:
    """`null` is what Go's json.Marshal makes of nil: such a task was archived."""
    assert decode(nothing, payload) == {}
    assert decode(rest, b'{"to":1}') == {"to": 1}


def test_fields_without_a_parameter_go_to_the_kwargs_with_their_type() -> None:
    assert decode(rest, b'{"z":null,"to":1,"from":2,"y":[{}]}') == {"to": 1, "from_": 2, "z": None, "y": [{}]}
    with pytest.raises(InvalidArguments, match=r"argument `b`: expected int, got str"):
        Signature.of(bound, skip_first=True).decode(b'{"a":1,"b":"x"}')
    with pytest.raises(InvalidArguments, match=r"argument `b`: expected int, got str"):
        Signature.of(bound, skip_first=True).encode((1,), {"b": "x"}, limit=None, name="x")
    with pytest.raises(InvalidArguments, match="unexpected argument `from_`"):
        decode(rest, b'{"to":1,"from_":2}')


def test_arguments_over_the_limit_are_refused_with_both_sizes() -> None:
    signature = Signature.of(resize)
    assert len(signature.encode(("x" * 90,), {}, limit=100, name="x")) == 100
    with pytest.raises(PayloadTooLarge, match=r"'x' are 101 bytes, over the limit of 100"):
        signature.encode(("x" * 91,), {}, limit=100, name="x")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(plain, plain)
def test_any_plain_value_survives_the_round_trip(value: Any, other: Any) -> None:
    assert decode(anything, encode(anything, value, other)) == {"value": value, "other": other}


SIGNATURES = [Signature.of(f) for f in (resize, email, anything, nothing, rest, by_name, user, typed)]
field_names = (
    st.sampled_from(["src", "width", "to", "from", "from_", "value", "a", "user", "n", "homes"]) | st.text()
)
documents = (
    st.binary()
    | plain.map(json.dumps).map(str.encode)
    | st.dictionaries(field_names, plain).map(json.dumps).map(str.encode)
)


@given(documents)
def test_any_payload_is_decoded_or_refused_as_invalid_arguments(payload: bytes) -> None:
    for signature in SIGNATURES:
        try:
            assert isinstance(signature.decode(payload), dict)
        except InvalidArguments:
            continue


# --- results ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, b"null"),
        ({"width": 800}, b'{"width":800}'),
        (Address("s", 1), b'{"street":"s","zip":1}'),
        (User(name="n"), b'{"name":"n","born":null,"home":null,"friends":[],"byName":{}}'),
        ([MOMENT], b'["2024-05-01T12:00:00.500000Z"]'),
    ],
)
def test_results_are_the_plain_json_of_the_value(value: Any, written: bytes) -> None:
    assert encode_result(value) == written


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object(), "of type object .*: object cannot travel as JSON"),
        ([float("nan")], "of type list .*no NaN"),
        ("\ud800", "lone surrogate"),
    ],
)
def test_a_result_that_is_not_json_is_a_type_error(value: Any, problem: str) -> None:
    with pytest.raises(ResultNotSerializable, match=problem) as caught:
        encode_result(value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b"null", None),
        (b"done", "done"),
        ("größe".encode(), "größe"),
        (b"\xff\x00", b"\xff\x00"),
        (b"", ""),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_results_that_go_wrote_come_back_whatever_they_are(data: bytes, value: Any) -> None:
    assert decode_result(data) == value


@given(plain)
def test_any_plain_result_survives_the_round_trip(value: Any) -> None:
    assert decode_result(encode_result(value)) == value
