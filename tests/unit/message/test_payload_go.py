"""Arguments of tasks with a lock against what Go's own encoding/json writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from taskflow.message.payload import GO_ENCODER
from taskflow.message.signature import Signature

PROGRAM = Path(__file__).parent / "go_json"

floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [
        0.0,
        -0.0,
        1.0,
        1e-6,
        9.99e-7,
        1e-7,
        1e-10,
        1e20,
        1e21,
        1.2345678901234568e19,
        123456789.0,
        5e-324,
        1e16,
        0.1,
    ]
)
texts = st.text() | st.text("<>&\u2028\u2029\"\\/\b\f\n\r\t\x00\x1f\x7f'1.0eE-+:,{}[]")
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def describe(value: Any) -> list[Any]:
    """Write a value so that Go can build the same: JSON alone would not say which numbers are floats."""
    match value:
        case None:
            return ["n"]
        case bool():
            return ["b", value]
        case int():
            return ["i", str(value)]
        case float():
            return ["f", value.hex()]
        case str():
            return ["s", value]
        case list():
            return ["l", *map(describe, value)]
        case _:
            return ["m", *(part for key, item in value.items() for part in (key, describe(item)))]


def corpus(examples: int) -> list[Any]:
    collected: list[Any] = []

    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(values)
    def collect(value: Any) -> None:
        collected.append(value)

    collect()
    return collected


def test_the_bytes_are_those_of_go() -> None:
    go = shutil.which("go")
    if go is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Go is not installed, and CI must not skip this")
        pytest.skip("Go is not installed: https://go.dev/dl")
    made = corpus(1000)
    lines = "".join(json.dumps(describe(value)) + "\n" for value in made)
    command = [go, "run", "-C", str(PROGRAM), "."]
    run = subprocess.run(command, input=lines.encode(), capture_output=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr.decode()
    written = run.stdout.decode().removesuffix("\n").split("\n")
    assert len(written) == len(made)
    for value, expected in zip(made, written, strict=True):
        assert GO_ENCODER.encode(value).decode() == expected


@dataclass
class Address:
    zip: str
    city: str


def ship(to: Address, weight: float = 1.0, *, notes: dict[int, str] | None = None) -> None: ...


def test_parameters_and_structs_keep_their_order_and_maps_are_sorted() -> None:
    """As Go: a struct is written in the order of its fields, a map in the order of its keys as text."""
    signature = Signature.of(ship)
    arguments = {"notes": {10: "b", 2: "a"}, "to": Address("1010", "A & B"), "weight": 2.0}
    written = signature.encode((), arguments, canonical=True, limit=None, name="ship")
    # the dict with numbers as keys makes msgspec take the address for a dict, too: the one exception
    assert json.loads(written) == {
        "to": {"zip": "1010", "city": "A & B"},
        "weight": 2,
        "notes": {"10": "b", "2": "a"},
    }
    assert written.startswith(b'{"to":{')
    assert written.endswith(b'"weight":2,"notes":{"10":"b","2":"a"}}')
    written = signature.encode((Address("1010", "A & B"),), {}, canonical=True, limit=None, name="ship")
    assert written == b'{"to":{"zip":"1010","city":"A \\u0026 B"}}'


def test_the_order_of_keywords_does_not_matter() -> None:
    def collect(**fields: int) -> None: ...

    signature = Signature.of(collect)
    one = signature.encode((), {"b": 1, "a": 2}, canonical=True, limit=None, name="c")
    assert (
        one
        == signature.encode((), {"a": 2, "b": 1}, canonical=True, limit=None, name="c")
        == b'{"a":2,"b":1}'
    )
