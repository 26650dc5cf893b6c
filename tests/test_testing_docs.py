"""docs/testing.md is what a reader copies: its files as they stand, its commands as they are typed; all of it passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow.testing import __all__ as public
from taskflow.testing import isolation, plugin
from tests.contrib.pages import Page, Terminal
from tests.test_examples_docs import blocks

ROOT = Path(__file__).parents[1]
PAGE = Page(ROOT / "docs" / "testing.md")


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A folder with the files of the page."""
    folder = tmp_path_factory.mktemp("testing-page")
    for name, text in PAGE.files.items():
        (folder / name).write_text(text)
    (settings,) = blocks(PAGE.path, "ini")
    (folder / "pytest.ini").write_text(settings)
    # The plugin is named for environments that were installed before it was there. Of pytest-asyncio's own settings the page says
    # nothing.
    variables = {
        "PYTEST_PLUGINS": "taskflow.testing.plugin",
        "PYTEST_ADDOPTS": "-p no:cacheprovider -W ignore::pytest.PytestDeprecationWarning",
        "PYTHONPATH": f"{folder}:{ROOT}",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    return Terminal(folder, variables, patience=150.0)


@pytest.mark.timeout(300)
def test_the_page_passes_as_it_stands(terminal: Terminal) -> None:
    typed = [
        line
        for heading in ("A first test", "Without pytest", "Eager mode by the environment")
        for line in PAGE.lines(heading)
    ]
    assert [line.text.split()[0] for line in typed] == ["pytest", "python", "TASKFLOW_EAGER=1"]
    said = [terminal.run(line) for line in typed]
    number = sum(text.count("def test_") for text in PAGE.files.values())
    assert f"{number} passed" in said[0]
    assert said[2] == "welcomed ann"


def test_every_block_of_python_is_a_file_that_is_run() -> None:
    assert len(PAGE.files) == len(blocks(PAGE.path, "python"))


def test_the_page_names_every_fixture_setting_and_function() -> None:
    text = PAGE.path.read_text()
    fixtures = [name for name in vars(plugin) if name.startswith("taskflow_")]
    assert len(fixtures) == 7
    assert [name for name in fixtures if f"`{name}`" not in text] == []
    assert [
        name
        for name in ("taskflow_app", "taskflow_broker", "taskflow_isolate")
        if f"| `{name}` |" not in text
    ] == []
    assert [mode for mode in isolation.MODES if f"`{mode}`" not in text] == []
    functions = [name for name in public if name[0].islower()]
    assert [name for name in functions if f"{name}(" not in text] == []
