"""docs/fastapi.md, copied line by line: the reloading server, then two processes of uvicorn's, then the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.contrib.pages import ROOT, Line, Page, Terminal
from tests.servers import Server, free_port

PAGE = Page(ROOT / "docs" / "fastapi.md")
EXAMPLE = ROOT / "examples" / "fastapi_app"


@pytest.fixture
def terminal(valkey: Server, tmp_path: Path) -> Terminal:
    """In a folder with the page's files."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    for name, text in PAGE.files.items():
        (tmp_path / name).write_text(text)
    port = str(free_port())
    # The page has the project's development server, whose place is the user's home.
    environment = {
        "TASKFLOW_BROKER": valkey.url,
        "UVICORN_PORT": port,
        "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60",  # a process that is slow for others' load is not killed
    }
    return Terminal(tmp_path, environment, {":8000": f":{port}", "redis://127.0.0.1:6379": valkey.url})


def test_the_page_shows_the_examples_own_files() -> None:
    """So that what runs here runs there."""
    shown = PAGE.files

    assert {*shown, "shop/__init__.py"} == {str(path.relative_to(EXAMPLE)) for path in EXAMPLE.rglob("*.py")}
    for name, text in shown.items():
        assert (EXAMPLE / name).read_text() == text, name


@pytest.mark.timeout(300)
def test_the_page_works_as_it_stands(terminal: Terminal) -> None:
    """One process that reloads, and two that do not: each client is told of the task, whichever process it comes to."""
    server, worker, enqueue, watch, show = PAGE.lines("Run it")
    with terminal.running(server, ready="startup complete"), terminal.running(worker, ready=" worker for "):
        terminal.run(enqueue)
        terminal.tells(watch)
        terminal.prints(show)

    variable, server, worker = PAGE.lines("In production")
    del terminal.environment["TASKFLOW_BROKER"]
    terminal.run(variable)
    with terminal.running(server, ready="startup complete"), terminal.running(worker, ready=" worker for "):
        for _ in range(3):
            terminal.run(enqueue)
            terminal.tells(watch)
        terminal.prints(show)

    (terminal.folder / "test_shop.py").write_text(PAGE.block("Tests"))
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider -p no:randomly -p no:asyncio test_shop.py"
    assert "1 passed" in terminal.run(Line(command))


def test_the_readme_of_the_example_has_the_pages_commands() -> None:
    readme = (EXAMPLE / "README.md").read_text()

    for line in PAGE.lines("Run it"):
        assert f"    {line.text}\n" in readme, line.text
