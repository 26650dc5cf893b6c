"""docs/storage.md names every key of a queue and every field of a task that scripts know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taskflow.broker import scripts
from taskflow.broker.keys import QueueKeys, RecordKeys

PAGE = Path(__file__).parents[2] / "docs" / "storage.md"
COMMANDS = ("HSET", "HSETNX", "HDEL", "HINCRBY", "HGET", "HMGET", "HEXISTS", "HSTRLEN")
STATES = {"pending", "active", "scheduled", "retry", "archived", "completed", "aggregating"}


def fields() -> set[str]:
    """The fields of tasks' hashes that some script reads or writes."""
    found: set[str] = set()
    for name in scripts.names():
        for line in scripts.load(name).source.splitlines():
            for call in re.findall(rf"(?:'(?:{'|'.join(COMMANDS)})', task|read_task\([^,)]+), ([^)]*)", line):
                found |= set(re.findall(r"'([a-z_]+:?)'", call)) - STATES
    return found


def rows(heading: str) -> set[str]:
    """The words in the first column of the table under a heading."""
    section = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return {
        word.partition("<")[0] if heading.startswith("Fields") else word
        for row in re.findall(r"^\| (`[^|]*) \|", section, re.M)
        for word in re.findall(r"`([^`]+)`", row)
    }


def test_every_field_of_a_task_is_on_the_page() -> None:
    """Another release, or a program in Go, has to know what a field means before it changes it."""
    assert fields() - rows("Fields of a task") == set()


def test_no_field_is_on_the_page_that_no_script_knows() -> None:
    assert rows("Fields of a task") - fields() == set()


@pytest.mark.parametrize("kind", [QueueKeys, RecordKeys])
def test_every_key_is_on_the_page(kind: type) -> None:
    page = PAGE.read_text()
    keys = QueueKeys("queue") if kind is QueueKeys else RecordKeys("host", 1, "id")
    named = {name: getattr(keys, name) for name in kind.__slots__ if isinstance(getattr(keys, name), str)}  # type: ignore[attr-defined]
    missing = {
        name: key
        for name, key in named.items()
        if name not in ("name", "prefix", "own")
        and key.replace("host:1:id", "host:pid:id") not in page
        and f"`{name}`" not in page
    }

    assert missing == {}
