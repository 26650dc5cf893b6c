"""`taskflow task ls`, `run`, `archive` and `delete` with a filter, and the failures that `inspect` shows."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from taskflow.attempts import attempt_line
from taskflow.cli import task_choice
from taskflow.states import State
from tests.inspector.stored import Stored
from tests.inspector.test_matching import archive
from tests.servers import Server

Cli = Callable[..., Result]


@pytest.fixture
def several(stored: Stored) -> Stored:
    stored.raw.flushall()  # commands for all queues find those of other tests, too
    stored.raw.sadd("asynq:queues", stored.queue)
    archive(stored, "a", ago=7200)
    archive(stored, "b", name="shop.refund", text="card 4 declined")
    archive(stored, "c", name="mail.send", error="Timeout", text="no answer")
    return stored


def first_words(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line.split()[0] for line in result.stdout.splitlines()[1:]]


def test_ls_takes_a_filter(cli: Cli, several: Stored) -> None:
    def listed(*words: str) -> list[str]:
        return first_words(cli("task", "ls", "-q", several.queue, "-s", "archived", *words))

    assert listed("--name", "shop.*") == ["a", "b"]
    assert listed("--error", "Timeout") == ["c"]
    assert listed("--error", "shop.errors.*", "--text", "CARD 4") == listed("--match", "card 4") == ["b"]
    assert listed("--older-than", "1h30m") == ["a"]
    assert listed("--newer-than", "90") == ["b", "c"]
    nothing = cli("task", "ls", "-q", several.queue, "-s", "archived", "--name", "x")
    assert nothing.stdout == f"No archived tasks fit in queue {several.queue!r}.\n"


def test_ls_of_all_queues_says_in_which_each_is(cli: Cli, cli_json: Any, several: Stored) -> None:
    result = cli("task", "ls", "--all-queues", "-s", "archived", "--size", "2")
    assert result.stdout.split()[:2] == ["Queue", "ID"]
    assert first_words(result) == [several.queue] * 2
    assert "1 to 2; --page 2 has more" in result.stderr
    found = cli_json("task", "ls", "--all-queues", "-s", "archived", "--size", "2", "--page", "2")
    assert (found["queue"], found["total"], found["more"]) == (None, None, False)
    (task,) = found["tasks"]
    assert (task["id"], task["queue"], task["error_type"]) == ("c", several.queue, "Timeout")
    assert task["attempts"][0]["traceback"] is None, "a listing has the last attempt, without it"


@pytest.mark.parametrize("age", ["soon", "2 hours", "-5", "1x", "h"])
def test_an_age_that_is_none_is_said(cli: Cli, several: Stored, age: str) -> None:
    result = cli("task", "ls", "-q", several.queue, "-s", "archived", "--older-than", age)
    assert result.exit_code == 2
    assert "45s, 30m, 2h, 1d12h or 2w" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ls", "-s", "archived"), "--all-queues"),
        (("ls", "-s", "archived", "-q", "x", "--all-queues"), "one of the two"),
        (("run", "--error", "E"), "state (-s)"),
        (("run", "-s", "archived"), "--all-queues"),
        (("run", "t1", "-s", "archived"), "ids and a filter"),
        (("delete", "t1", "--name", "x"), "ids and a filter"),
        (("archive", "-s", "completed", "--all-queues"), "'completed' is not one of"),
        (("delete", "-s", "active", "--all-queues"), "'active' is not one of"),
        (("run", "-s", "scheduled", "--all-queues", "--older-than", "2h"), "nothing says how old"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    cli: Cli, several: Stored, words: tuple[str, ...], said: str
) -> None:
    result = cli("task", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert several.ids(State.ARCHIVED) == ["a", "b", "c"]


@pytest.mark.parametrize("option", ["--name", "--error", "--text"])
@pytest.mark.parametrize("word", ["", " "])
def test_an_empty_word_is_no_order_for_all_tasks(cli: Cli, several: Stored, option: str, word: str) -> None:
    """`--error "$TYPE" --yes`, where the variable is not set, would delete whatever has failed."""
    result = cli("task", "delete", "-q", several.queue, "-s", "archived", option, word, "--yes")
    assert result.exit_code == 2
    assert "it is empty" in result.stderr
    assert first_words(cli("task", "ls", "-q", several.queue, "-s", "archived")) == ["a", "b", "c"]


def test_an_order_by_filter_says_first_for_how_many_it_is(
    cli: Cli, several: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ("task", "run", "-q", several.queue, "-s", "archived", "--error", "PaymentError")
    refused = cli(*order)
    assert refused.exit_code == 2
    assert refused.stdout == f"2 archived tasks fit: {several.queue} (2)\n"
    assert "nothing was done; --yes" in refused.stderr
    monkeypatch.setattr(task_choice, "can_ask", lambda: True)
    no = cli(*order, stdin="n\n")
    assert no.exit_code == 1
    assert several.ids(State.ARCHIVED) == ["a", "b", "c"]
    yes = cli(*order, stdin="y\n")
    assert yes.stdout.endswith("2 tasks are pending.\n")
    assert several.ids(State.ARCHIVED) == ["c"]
    assert cli(*order, "--yes").stdout == "No archived task fits.\n"


def test_archive_and_delete_take_one_too(cli: Cli, several: Stored) -> None:
    assert cli("task", "run", "--all-queues", "-s", "archived", "--yes").stdout.endswith(
        "3 tasks are pending.\n"
    )
    archived = cli("task", "archive", "--all-queues", "-s", "pending", "--name", "shop.*", "-y")
    assert archived.stdout.endswith("2 tasks are archived.\n")
    deleted = cli("task", "delete", "-q", several.queue, "-s", "archived", "--name", "shop.refund", "-y")
    assert deleted.stdout.endswith("1 task is deleted.\n")
    assert several.ids(State.ARCHIVED) == ["a"]


def test_a_terminal_is_asked(valkey: Server, several: Stored) -> None:
    """With a real one: what is piped in is nobody's answer."""
    main, terminal = pty.openpty()
    words = ["task", "delete", "-q", several.queue, "-s", "archived", "--name", "mail.*"]
    process = subprocess.Popen(
        [sys.executable, "-m", "taskflow", *words],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TASKFLOW_BROKER": valkey.url},
    )
    os.close(terminal)
    said = b""
    until = time.monotonic() + 30
    try:
        while b"[y/N]" not in said and time.monotonic() < until:
            if select.select([main], [], [], 1.0)[0]:
                said += os.read(main, 4096)
        assert b"1 archived task fits" in said
        os.write(main, b"y\n")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(main)
    assert several.ids(State.ARCHIVED) == ["a", "b"]


def test_inspect_shows_the_attempts_the_newest_last(cli: Cli, cli_json: Any, stored: Stored) -> None:
    archive(stored, "a")
    lines = [
        "".join(
            attempt_line(
                1_790_000_000.5 + n,
                0.25,
                "vm:1:x",
                "Boom",
                "shop",
                f"card {n}",
                f"Traceback …\nframe {n}\x1b[2J",
            )
        )
        for n in range(2)
    ]
    lines.append("".join(attempt_line(1_790_000_009, None, "", "Expired", "", "expired", "")))
    stored.raw.hset(stored.keys.task("a"), "attempts", "\n".join(lines) + "\n")
    result = cli("task", "inspect", "-q", stored.queue, "a")
    assert result.exit_code == 0
    shown = result.stdout[result.stdout.index("Failed attempts") :]
    assert shown.index("card 0") < shown.index("frame 0") < shown.index("card 1") < shown.index("Expired")
    assert "2026-09-21 14:13:20 UTC, failed after 0.250 s, worker vm:1:x" in shown
    assert "\x1b" not in shown
    found = cli_json("task", "inspect", "-q", stored.queue, "a")
    assert [one["type"] for one in found["attempts"]] == ["Boom", "Boom", "Expired"]
    first = found["attempts"][0]
    assert (first["text"], first["seconds"], first["module"], first["worker"]) == (
        "card 0",
        0.25,
        "shop",
        "vm:1:x",
    )
    assert first["traceback"].startswith("Traceback …\nframe 0")
    line = "".join(attempt_line(1_790_000_000, 0.25, "vm:1:x", "Boom", "shop", "no luck", "Traceback …"))
    stored.raw.hset(stored.keys.task("a"), "attempts", f"{line}\n{line}\n")
    shown = cli("task", "inspect", "-q", stored.queue, "a").stdout
    assert shown.count("Traceback …") == shown.count("that of the next attempt") == 1
