"""An app that nobody answers, and a task of it."""

from __future__ import annotations

from typing import Any

import pytest

from taskflow import TaskFlow

NOWHERE = "redis://127.0.0.1:1"
"""A broker that nobody can reach: what is refused before it is sent never gets there."""


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("shop", broker=NOWHERE)


@pytest.fixture
def resize(app: TaskFlow) -> Any:
    """A task, with its types hidden from type checkers: these tests call it wrongly."""

    @app.task(queue="images", name="images:resize")
    def resize(src: str, width: int = 800, *, crop: bool = False) -> str:
        return f"{src} at {width}"

    return resize
