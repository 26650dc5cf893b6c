"""What an error advises exists: an option, a command, a method. And what is only guessed is near what was written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import taskflow
from taskflow import AsyncResult, CurrentTask, Task, TaskFlow, errors
from taskflow.cli.hints import MEANT
from taskflow.cli.main import main
from taskflow.cli.words import MAIN, NO_POOLS, WORKER
from taskflow.errors import UnknownOption
from taskflow.options import refused, settings
from taskflow.options.refused import CELERYS
from taskflow.options.table import BY_SPELLING
from tests.test_examples_docs import parse, taskflow_commands

PACKAGE = Path(__file__).parents[2] / "taskflow"
RUNNERS_OWN = {"--main-thread", "--marks", "--socket", "--slots"}
"""What the worker tells its children; nobody else does."""

MANAGE_PY = {"--deploy", "--pythonpath", "--settings", "--skip-checks", "--database"}
"""What commands of Django's take."""

WEB_SERVERS = {
    "--bind",
    "--graceful-timeout",
    "--host",
    "--timeout-graceful-shutdown",
    "--worker-tmp-dir",
    "--workers",
}
"""Of gunicorn and uvicorn, which `taskflow new` has units and containers start; tests/cli/test_new.py runs them."""

RELAY = {"--once", "--batch", "--status"}
"""What `manage.py taskflow relay` takes."""

OPTIONS = {*BY_SPELLING, "signing_keys", "encryption_keys", "max_payload", "retention"}


def advice() -> Iterator[tuple[str, str]]:
    """Every text in the package that tells somebody to use a command, with its file."""
    for file in sorted(PACKAGE.rglob("*.py")):
        # The pieces of a text that the formatter has broken belong together.
        source = re.sub(r'"\s*\n\s*f?"', "", file.read_text())
        for line in re.findall(r"`(taskflow [^`\n]+)`", source):
            yield str(file.relative_to(PACKAGE)), line


@pytest.mark.parametrize(("where", "line"), sorted(set(advice())))
def test_a_command_that_is_advised_exists(where: str, line: str) -> None:
    for words in taskflow_commands(re.sub(r"\{[^}]*\}|[A-Z_]{2,}|<[^>]*>", "x", line)):
        try:
            parse(main, words)
        except click.ClickException as error:
            pytest.fail(f"{where} advises `{line}`: {error.format_message()}")


def options(command: click.Command) -> Iterator[str]:
    """All options of a command and of those below it."""
    yield "--help"
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from options(below)


def test_an_option_that_is_advised_exists() -> None:
    known = {*options(main), *RUNNERS_OWN, *MANAGE_PY, *RELAY, *WEB_SERVERS, *WORKER, *MAIN}
    advised = {
        (str(file.relative_to(PACKAGE)), option)
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", node.value)
    }

    assert len(advised) > 20
    assert sorted((file, option) for file, option in advised if option not in known) == []


def crunch() -> None: ...


@pytest.mark.parametrize("name", sorted(CELERYS))
def test_what_is_advised_in_place_of_celerys_options_exists(name: str) -> None:
    """`link=` was answered with `first.s() | second.s()`, which there is not; `link_error=` with an event; `rate_limit=` with
    `time_limit`, which is something else.
    """
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")
    with pytest.raises(UnknownOption) as caught:
        app.task(crunch).options(**{name: 1})
    text = str(caught.value)

    assert f"there is no option `{name}`: " in text
    assert "did you mean" not in text
    for line in re.findall(r"taskflow (?:task|worker|queue) [^`;,()]+(?:,\w+=\d+)?", text):
        for words in taskflow_commands(line.replace("QUEUE", "default")):
            parse(main, words)
    for quoted in re.findall(r"`(\w+)`", text):
        assert quoted == name or quoted in OPTIONS
    for owner, method in re.findall(r"(\w+)\.(\w+)\(", text):
        assert hasattr(AsyncResult if owner == "AsyncResult" else Task, method)


TABLES = {
    **{name: getattr(refused, name) for name in ("REQUEST", "TASK", "APP", "CONSTRUCTOR", "NAMES")},
    "REFUSED": {**settings.REFUSED, **settings.REFUSED_FAMILIES, **settings.NOTHING},
    "NOT_CELERYS": errors.NOT_CELERYS,
}


@pytest.mark.parametrize(
    ("name", "text"),
    [(f"{table}.{name}", text) for table, texts in TABLES.items() for name, text in texts.items()],
)
def test_what_is_advised_in_place_of_celerys_names_exists(name: str, text: str) -> None:
    """A hint that names what there is not sends its reader on a search, and is believed for ever."""
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")
    for line in re.findall(r"taskflow (?:task|worker|queue|doctor|--version)[^`;,()]*(?:,\w+=\d+)?", text):
        for words in taskflow_commands(re.sub(r"\b[A-Z_]{3,}\b", "x", line)):
            parse(main, words)
    for attribute in re.findall(r"\bapp\.(?!conf\.)(\w+)", text):
        assert hasattr(app, attribute)
    for setting in re.findall(r"app\.conf\.(\w+)\(", text):
        assert hasattr(app.conf, setting)
    for option in re.findall(r"TaskFlow\((\w+)=", text):
        assert option in {*BY_SPELLING, "signing_keys", "task_cls", "eager"}
    for option in re.findall(r"app\.task\((\w+)=", text):
        assert option in BY_SPELLING
    for import_ in re.findall(r"from taskflow import (\w+)", text):
        assert hasattr(taskflow, import_)
    for quoted in re.findall(r"self\.(\w+)\(", text):
        assert hasattr(Task, quoted) or hasattr(CurrentTask, quoted)
    for quoted in re.findall(r"result\.(\w+)\(", text):
        assert hasattr(AsyncResult, quoted)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("quue", "queue"),
        ("retries", "max_retries"),
        ("time_limt", "time_limit"),
        ("nonsense", None),
        ("name_of", None),
    ],
)
def test_an_option_is_guessed_only_from_one_that_is_near(written: str, meant: str | None) -> None:
    with pytest.raises(UnknownOption) as caught:
        TaskFlow("shop", **{written: 1})  # type: ignore[arg-type]

    assert ("did you mean" in str(caught.value)) == (meant is not None)
    if meant:
        assert f"`{meant}`" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["queue", "remove"], "Did you mean rm?"),
        (["queue", "pasue"], "Did you mean pause?"),
        (["queue", "frobnicate"], None),
        (["task", "remove"], None),
        (["worker", "--name", "x"], None),
        (["worker", "--concurency", "3"], "Did you mean --concurrency?"),
        (["--brokr", "x"], "Did you mean --broker?"),
    ],
)
def test_a_command_is_guessed_only_from_one_that_is_near(words: list[str], hint: str | None) -> None:
    """`taskflow queue remove` was answered with `resume`, which does something else to the queue, and `--name` with `--grace`."""
    result: Any = CliRunner().invoke(main, words)

    output = result.output.replace("'", "")
    assert result.exit_code == 2
    if not hasattr(click, "NoSuchCommand") and words[0] == "queue":
        hint = None  # click guesses commands from 8.4 on
    assert ("Did you mean" in output) == (hint is not None)
    assert hint is None or hint in output


def others() -> Iterator[tuple[str, str, str]]:
    """Every text that answers another tool's word, with the group and the word."""
    yield from ((group, word, text) for group, words in MEANT.items() for word, text in words.items())
    yield from (("worker", name, word.why) for name, word in WORKER.items() if word.why)
    yield from (("", name, word.why) for name, word in MAIN.items() if word.why)
    yield from (("worker", name, text) for name, text in NO_POOLS.items())


@pytest.mark.parametrize(("group", "word", "text"), list(others()))
def test_what_is_advised_in_place_of_another_tools_word_exists(group: str, word: str, text: str) -> None:
    for line in re.findall(
        r"taskflow (?:worker|task|queue|server|call|stats|doctor)[^`;,()]*(?:,\w+=\d+)?", text
    ):
        line = re.sub(r"\b[A-Z]{3,}\b", "x", line.partition(" 2>>")[0])
        for words in taskflow_commands(re.sub(r" (?:and|shows|lists|counts|for|in|with) .*", "", line)):
            parse(main, words)


@pytest.mark.parametrize("name", sorted(WORKER))
def test_an_alias_is_an_option_of_the_command(name: str) -> None:
    assert all(option in set(options(main)) for option in WORKER[name].alias if option.startswith("--"))
    assert WORKER[name].alias or WORKER[name].why


@pytest.mark.parametrize(
    ("words", "text"),
    [(["task", word], text) for word, text in MEANT["task"].items()]
    + [(["queue", word], text) for word, text in MEANT["queue"].items()]
    + [([word], text) for word, text in MEANT[""].items()],
)
def test_another_tools_command_is_answered_with_ours(words: list[str], text: str) -> None:
    """`taskflow beat`, `taskflow inspect`, `taskflow task revoke`: each was "No such command"."""
    result: Any = CliRunner().invoke(main, words)

    assert result.exit_code == 2
    assert text in " ".join(result.output.split())
