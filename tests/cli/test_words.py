"""The words of other tools for the options of `taskflow worker`: taken, dropped with a line that says so, or refused."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from taskflow.cli.main import main
from taskflow.cli.words import NO_POOLS, POOLS, WORKER
from taskflow.cli.worker import worker

OURS = {name for one in worker.params for name in (*one.opts, *one.secondary_opts)}
"""A word that has become an option of ours is one."""


def parsed(*words: str) -> dict[str, Any]:
    return worker.make_context("worker", ["-A", "shop", *words]).params


@pytest.mark.parametrize(
    "name", sorted(name for name, word in WORKER.items() if word.alias and name not in OURS)
)
def test_an_alias_is_read_as_our_own_word(name: str) -> None:
    (option, *rest) = WORKER[name].alias
    value = rest or [
        {"--log-level": "DEBUG", "--queues": "high=2", "--broker": "redis://h", "--reload-dir": "."}.get(
            option, "3"
        )
    ]
    given = value if WORKER[name].takes else []
    assert parsed(name, *given) == parsed(option, *value)
    if given:
        assert parsed("-c", "7", f"{name}={given[0]}", "--strict") == parsed(
            "-c", "7", option, *value, "--strict"
        )


@pytest.mark.parametrize(
    "name", sorted(name for name, word in WORKER.items() if not word.alias and name not in OURS)
)
def test_what_means_nothing_is_dropped_with_a_line_and_what_cannot_be_is_refused_with_the_way(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    word = WORKER[name]
    words = [name, *(["fair"] if word.takes else []), "-c", "7"]
    if word.refused:
        with pytest.raises(click.UsageError) as caught:
            parsed(*words)
        assert caught.value.message == f"{name} is not there: {word.why}"
    else:
        assert parsed(*words) == parsed("-c", "7")
        assert capsys.readouterr().err == f"{name} means nothing here: {word.why}\n"


@pytest.mark.parametrize("pool", sorted({*POOLS, *NO_POOLS}))
def test_other_words_for_the_pools(pool: str) -> None:
    for words in (["-P", pool], [f"--pool={pool}"], [f"-P{pool}"]):
        if pool in NO_POOLS:
            with pytest.raises(
                click.UsageError, match="nothing is patched here; coroutine functions are tasks"
            ):
                parsed(*words)
        else:
            assert parsed(*words)["pool"] == POOLS[pool]


def test_a_line_of_celerys_documentation_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    line = "-l INFO -P prefork -c 4 -n worker1@%h -Q high,low -E -O fair --without-gossip --prefetch-multiplier=1"
    assert parsed(*line.split()) == parsed("-l", "info", "-P", "processes", "-c", "4", "-Q", "high,low")
    told = capsys.readouterr().err
    assert [line.split()[0] for line in told.splitlines()] == [
        "-n",
        "-E",
        "-O",
        "--without-gossip",
        "--prefetch-multiplier",
    ]
    assert parsed("--loglevel", "FATAL")["log_level"] == "critical"


@pytest.mark.parametrize(
    "words",
    [
        ["-A", "nowhere_to_be_found", "worker", "--loglevel=INFO"],
        ["worker", "-A", "nowhere_to_be_found", "-l", "INFO"],
    ],
)
def test_the_app_may_stand_before_the_command_as_celerys_does(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(worker, "callback", lambda **given: seen.append(click.get_current_context().meta))
    assert CliRunner().invoke(main, words).exit_code == 0
    assert seen[0]["taskflow.app"] == "nowhere_to_be_found"


def test_words_behind_the_commands_name_are_not_those_of_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(worker, "callback", lambda **given: seen.append(given))
    result = CliRunner().invoke(main, ["--no-color", "-A", "shop", "worker", "--quiet", "-c", "3"])
    assert result.exit_code == 0, result.output
    assert (seen[0]["log_level"], seen[0]["concurrency"]) == ("warning", "3")
    assert "--no-color means nothing here" in result.output


def test_what_is_no_word_of_anybodys_is_refused_as_ever() -> None:
    for words in (["--frobnicate"], ["-Z"], ["-P", "nonsense"], ["-c"]):
        with pytest.raises(click.UsageError):
            parsed(*words)
