"""`app.inspector` and `app.ainspector`: an app's own, documented by an example that runs; and the two are one."""

from __future__ import annotations

import asyncio
import doctest
import inspect
import re
from pathlib import Path

import pytest

from taskflow import AsyncInspector, Inspector, TaskFlow
from taskflow.connection.coroutines import complete
from tests.servers import Server

PAGE = Path(__file__).parents[2] / "docs" / "inspector.md"
METHODS = sorted(name for name in vars(Inspector) if not name.startswith("_"))


def test_the_pages_example_runs_as_it_is_told(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFLOW_BROKER", valkey.url)
    blocks = re.findall(r"(?ms)^```pycon\n(.*?)^```", PAGE.read_text())
    names = {"__name__": "shop"}
    example = doctest.DocTestParser().get_doctest("".join(blocks), names, PAGE.name, str(PAGE), 0)
    said: list[str] = []

    outcome = doctest.DocTestRunner().run(example, out=said.append, clear_globs=False)

    assert outcome.attempted > 10
    assert not outcome.failed, "".join(said)
    app: TaskFlow = example.globs["app"]
    app.close()
    asyncio.run(app.aclose())


def test_the_page_names_every_method() -> None:
    text = PAGE.read_text()
    assert [name for name in METHODS if f"`{name}(" not in text] == []


@pytest.mark.parametrize("name", METHODS)
def test_the_twins_have_the_same_methods_with_the_same_arguments(name: str) -> None:
    """One is a shell around the other: a method that only one has, or that takes something else there, would be half a method."""
    asynchronous = getattr(AsyncInspector, name)
    assert inspect.iscoroutinefunction(asynchronous)
    assert inspect.signature(asynchronous) == inspect.signature(getattr(Inspector, name))


def test_the_asynchronous_one_has_no_others() -> None:
    assert sorted(name for name in vars(AsyncInspector) if not name.startswith("_")) == METHODS


def test_one_inspector_may_be_used_from_several_event_loops(valkey: Server, queue: str) -> None:
    """It is bound to no loop: each call asks the broker of the one that runs."""
    app = TaskFlow("shop", broker=valkey.url)
    app.task(queue=queue)(print_nothing).delay()
    inspector = app.ainspector

    async def pending() -> int:
        found = (await inspector.queue(queue)).pending
        await app.aclose()
        return found

    assert [asyncio.run(pending()) for _ in range(2)] == [1, 1]
    app.inspector.remove(queue, force=True)
    app.close()


def print_nothing() -> None: ...


def test_what_would_wait_is_no_question_to_a_threads_broker() -> None:
    """Such code would have to run on an event loop; in a thread it is refused, not left half done."""
    with pytest.raises(AssertionError, match="done at once"):
        complete(asyncio.sleep(0))
