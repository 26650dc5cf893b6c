"""docs/api.md names what apps, tasks and handles have for users: all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taskflow import AsyncResult, AsyncTask, Task, TaskFlow

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def noop() -> None: ...


async def anoop() -> None: ...


@pytest.mark.parametrize("kind", [TaskFlow, Task, AsyncTask, AsyncResult])
def test_what_is_public_is_on_the_page(kind: type) -> None:
    """What has no underscore is a promise: a new name is a decision, and is written down. `app.enqueue(task, new, timeout)` and
    `task.decode(payload)` stood among what completion offers, and could not be changed any more without somebody's noticing.
    """
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")
    task, coroutine = app.task(noop), app.task(anoop)
    things = {TaskFlow: app, Task: task, AsyncTask: coroutine, AsyncResult: app.result("1")}

    public = {name for name in dir(things[kind]) if not name.startswith("_")}

    assert type(things[kind]) is kind
    assert public == named("Task" if kind is AsyncTask else kind.__name__)


def named(heading: str) -> set[str]:
    """The names in the first column of the table under a heading."""
    section = PAGE.read_text().partition(f"## `{heading}`\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}
