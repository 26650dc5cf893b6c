"""docs/flask.md, copied line by line: the development server, then gunicorn with --preload, then the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.contrib.pages import ROOT, Line, Page, Terminal
from tests.servers import Server, free_port

PAGE = Page(ROOT / "docs" / "flask.md")
EXAMPLE = ROOT / "examples" / "flask_app"


@pytest.fixture
def terminal(valkey: Server, tmp_path: Path) -> Terminal:
    """In a folder with the page's files."""
    for name, text in PAGE.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    port, served = str(free_port()), str(free_port())
    environment = {
        "TASKFLOW_BROKER": valkey.url,  # the page has the project's development server, whose place is the user's home
        "FLASK_RUN_PORT": port,
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{served}",
    }
    instead = {":5000": f":{port}", ":8000": f":{served}", "redis://127.0.0.1:6379": valkey.url}
    return Terminal(tmp_path, environment, instead)


def test_the_page_shows_the_examples_own_files() -> None:
    """So that what runs here runs there."""
    shown = PAGE.files

    assert {str(path.relative_to(EXAMPLE)) for path in EXAMPLE.rglob("*.py")} == set(shown)
    for name, text in shown.items():
        assert (EXAMPLE / name).read_text() == text, name


@pytest.mark.timeout(300)
def test_the_page_works_as_it_stands(terminal: Terminal) -> None:
    """With the development server, with gunicorn, and its test; each order is priced by the worker of the page."""
    for line in PAGE.lines("A project"):
        terminal.run(line)
    init, flask, worker, order, show, call = PAGE.lines("Run it")
    terminal.run(init)

    with terminal.running(flask, ready="Running on"), terminal.running(worker, ready=" worker for "):
        terminal.prints(order)
        terminal.prints(show)
        terminal.prints(call)

    variable, gunicorn, worker = PAGE.lines("In production")
    terminal.run(variable)
    del terminal.environment["TASKFLOW_BROKER"]
    with (
        terminal.running(gunicorn, ready="Booting worker"),
        terminal.running(worker, ready=" worker for "),
    ):
        for line in (order, show):  # the second order, from the other server
            typed = line.text.replace(":5000", ":8000").replace("orders/1", "orders/2")
            terminal.prints(Line(typed, line.printed.replace("orders/1", "orders/2")))

    (terminal.folder / "test_shop.py").write_text(PAGE.block("Tests"))
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider -p no:randomly -p no:asyncio test_shop.py"
    del terminal.environment["FLASK_TASKFLOW__BROKER"]
    (terminal.folder / "instance" / "shop.db").unlink()  # as in a fresh clone
    assert "1 passed" in terminal.run(Line(command))
    assert not (terminal.folder / "instance" / "shop.db").exists(), (
        "the test wrote into the development database"
    )


def test_the_readme_of_the_example_has_the_pages_commands() -> None:
    readme = (EXAMPLE / "README.md").read_text()

    for line in (*PAGE.lines("A project"), *PAGE.lines("Run it")):
        assert f"    {line.text}\n" in readme, line.text
