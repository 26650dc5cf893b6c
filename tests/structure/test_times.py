"""A duration and a moment are told apart by their names: nobody has to look up which of the two `expires` is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "taskflow"

# A name may also end in one of these words, as `max_delay` and `lease_until` do. (`retry_backoff_max` is Celery's.)
DURATIONS = {
    *(
        "seconds",
        "timeout",
        "delay",
        "countdown",
        "retention",
        "expires",
        "lease",
        "heartbeat",
        "interval",
        "ttl",
    ),
    *("grace", "latency", "uptime", "backoff_max"),
}
MOMENTS = {"at", "eta", "deadline", "until", "since", "now", "not_before", "not_after", "server_time"}

NAMED_BY_OTHERS = {
    "Timestamp": "protobuf's own names",
    "Timings": "each is a duration in seconds, and is called as what waits for it",
}

A_DURATION = re.compile(r"\bseconds from now\b")
A_MOMENT = re.compile(
    r"\b(Unix (time|seconds)|monotonic (clock|seconds)|by (the|a) (server|loop)'s clock)\b", re.I
)
IN_SECONDS = re.compile(r"\bseconds\b", re.I)

NUMBER = re.compile(r"(float|int)( \| None)?")


def sense(said: str) -> str:
    """Whether the words on a number say that it is a duration or a moment; empty: neither."""
    if A_MOMENT.search(said) and not A_DURATION.search(said):
        return "moment"
    return "duration" if IN_SECONDS.search(said) else ""


def fits(name: str, sense: str) -> bool:
    words = DURATIONS if sense == "duration" else MOMENTS
    return any(f"_{name}".endswith(f"_{word}") for word in words)


def documented(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The numbers among parameters, fields and attributes, each with what is said of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in NAMED_BY_OTHERS:
            continue
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", ast.get_docstring(node) or "", re.M))
            yield from ((name, said[name]) for name in numbers(node) if name in said)
        body = getattr(node, "body", None)
        for one, after in pairwise(body if isinstance(body, list) else ()):
            if isinstance(one, ast.AnnAssign) and is_number(one.annotation) and (text := docstring(after)):
                yield ast.unparse(one.target).removeprefix("self."), text


def numbers(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for one in node.body if isinstance(node, ast.ClassDef) else [node]:
        if isinstance(one, ast.AnnAssign) and is_number(one.annotation):
            yield ast.unparse(one.target)
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and (
            one is node or one.name == "__init__"
        ):
            for parameter in (*one.args.args, *one.args.kwonlyargs):
                if parameter.annotation is not None and is_number(parameter.annotation):
                    yield parameter.arg


def is_number(annotation: ast.expr) -> bool:
    return NUMBER.fullmatch(ast.unparse(annotation)) is not None


def docstring(node: ast.stmt) -> str:
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def misnamed(source: str) -> list[str]:
    return [
        f"{name} is a {found}: {said.splitlines()[0]}"
        for name, said in documented(ast.parse(source))
        if (found := sense(said)) and not fits(name.strip("_").lower(), found)
    ]


def test_a_duration_and_a_moment_have_names_that_say_which_they_are() -> None:
    """An outcome's `at` was a duration, a taken task's `expires` a moment, beside an `at` and an `expires` of the other kind."""
    found = {str(file.relative_to(PACKAGE)): misnamed(file.read_text()) for file in PACKAGE.rglob("*.py")}
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        'class Taken:\n    """A.\n\n    Args:\n        expires: in Unix seconds.\n    """\n    expires: float\n',
        'class Row:\n    lease: float | None\n    """Unix seconds, by the server\'s clock."""\n',
        'class Outcome:\n    """B.\n\n    Args:\n        at: seconds until it is tried again.\n    """\n    at: float\n',
        'def wait(until: float) -> None:\n    """C.\n\n    Args:\n        until: seconds.\n    """\n',
        'class Plan:\n    def __init__(self) -> None:\n        self._begun: float = 0\n        """On the monotonic clock."""\n',
    ],
)
def test_a_name_of_the_other_kind_is_found(source: str) -> None:
    """Otherwise a change of how things are documented would leave nothing to be looked at."""
    assert len(misnamed(source)) == 1
