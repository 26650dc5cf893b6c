"""docs/values.md says what arrives as what: its tables are tried, row by row, as arguments and as results."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.errors import InvalidArguments
from taskflow.message.returns import Returns
from taskflow.message.signature import Signature
from tests.test_examples_docs import blocks

PAGE = Path(__file__).parents[1] / "docs" / "values.md"
SAME = "the same"


def classes() -> dict[str, Any]:
    """What the page's first block declares."""
    module = sys.modules["values_page"] = ModuleType("values_page")
    exec(compile(blocks(PAGE, "python")[0], str(PAGE), "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without their backticks."""
    text = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


SCOPE = classes()
ARRIVES = rows("What arrives")
REFUSED = rows("What `.delay()` refuses")


def value_of(cell: str) -> Any:
    return eval(cell.strip("`"), SCOPE)


def task_of(annotation: Any) -> Callable[..., Any]:
    def task(value): ...  # type: ignore[no-untyped-def]

    task.__annotations__ = {"value": annotation, "return": annotation}
    return task


@pytest.mark.parametrize("row", ARRIVES, ids=lambda row: row[0] + " " + row[1])
@pytest.mark.parametrize("canonical", [False, True], ids=["plain", "unique"])
def test_what_the_page_says_arrives(row: list[str], canonical: bool) -> None:
    """A caller who reads that a tuple comes back as one relies on it."""
    sent, annotation, json, typed, untyped = row
    value = value_of(sent)
    for type_, expected in ((value_of(annotation), typed), (Any, untyped)):
        signature = Signature.of(task_of(type_))

        payload = signature.encode((value,), {}, canonical=canonical, limit=None, name="task")
        arrived = signature.decode(payload)["value"]

        wanted = value if expected == SAME else value_of(expected)
        assert arrived == wanted
        assert type(arrived) is type(wanted)
        if not canonical:
            assert payload.decode() == f'{{"value":{json.strip("`")}}}'


@pytest.mark.parametrize("row", ARRIVES, ids=lambda row: row[0] + " " + row[1])
def test_a_result_arrives_as_an_argument_does(row: list[str]) -> None:
    """`fetch.delay(x).get()` was typed `Out` and gave a dict; a `Decimal` came back as text."""
    sent, annotation, _, typed, untyped = row
    value = value_of(sent)
    for type_, expected in ((value_of(annotation), typed), (Any, untyped)):
        returns = Returns(task_of(type_))

        arrived = returns.read(returns.encode(value))

        wanted = value if expected == SAME else value_of(expected)
        assert arrived == wanted
        assert type(arrived) is type(wanted)


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[0] + " " + row[1])
@pytest.mark.parametrize("options", [{}, {"unique": 60}], ids=["plain", "unique"])
@pytest.mark.parametrize("eager", [False, True], ids=["broker", "eager"])
def test_what_the_page_says_is_refused(row: list[str], options: dict[str, Any], eager: bool) -> None:
    """A `SecretStr` arrived as stars, a field that is excluded from a model's JSON not at all, and nobody was told."""
    sent, annotation, why = row
    app = TaskFlow("values", broker="redis://127.0.0.1:1", eager=eager)
    task: Any = app.task(name="task")(task_of(value_of(annotation)))

    with pytest.raises(InvalidArguments, match=r"argument `value") as caught:
        task.options(**options).delay(value_of(sent))

    for words in why.split("`"):
        assert words.strip(": ").removeprefix("Login.") in str(caught.value)
    for secret in ("p'", '"p"', "1931"):
        assert secret not in str(caught.value)


def test_both_tables_are_read() -> None:
    assert len(ARRIVES) > 30
    assert len(REFUSED) > 10
