"""`taskflow server start|stop|status|url`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from taskflow import embedded
from taskflow.cli.server import server
from taskflow.embedded import EmbeddedConfig
from taskflow.errors import EmbeddedServerError, InvalidOption
from tests.embedded.support import free_ports, kill, pids


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(server, list(arguments))


def test_a_server_is_started_shown_and_stopped(directory: Path) -> None:
    place = ("--dir", str(directory))
    started = _run("start", *place)
    assert started.exit_code == 0, started.output
    password = (directory / "password").read_text().strip()
    assert "1 started now" in started.output
    assert "unix://:***@" in started.output
    assert f"embedded://{directory}" in started.output
    assert password not in started.output
    assert "already running" in _run("start", *place).output

    shown = _run("status", *place)
    assert shown.exit_code == 0
    headers, row = (line.split() for line in shown.output.splitlines()[1:])
    assert headers == ["NODE", "ROLE", "ADDRESS", "PID", "STATE"]
    assert (row[0], row[1], row[4]) == ("0", "server", "up")

    url = _run("url", *place)
    assert url.output == embedded.url(EmbeddedConfig(directory)) + "\n"
    assert password in url.output

    assert _run("stop", *place).output == "1 stopped\n"
    assert _run("stop", *place).output == "nothing was running\n"
    assert isinstance(_run("url", *place).exception, EmbeddedServerError)


def test_a_killed_node_is_shown_and_started_again(directory: Path) -> None:
    place = ("--dir", str(directory))
    port = free_ports(1)
    assert _run("start", *place, "--port", str(port), "--no-password").exit_code == 0
    (pid,) = pids(EmbeddedConfig(directory))
    assert pid is not None
    kill(pid)
    shown = _run("status", *place)
    assert shown.exit_code == 1
    assert "not running" in shown.output
    assert "down" in shown.output
    again = _run("start", *place)
    assert "1 started now" in again.output
    assert f"redis://127.0.0.1:{port}/0" in again.output
    found = json.loads(_run("status", *place, "--json").output)
    assert found["running"] is True
    assert found["problem"] is None
    assert found["nodes"][0]["port"] == port
    assert found["nodes"][0]["pid"] != pid


def test_nothing_there_is_said(directory: Path) -> None:
    shown = _run("status", "--dir", str(directory))
    assert shown.exit_code == 1
    assert "no server in" in shown.output


@pytest.mark.parametrize("arguments", [("--nodes", "5"), ("--nodes", "6", "--port", "60000")])
def test_bad_numbers_are_errors_of_taskflow(directory: Path, arguments: tuple[str, ...]) -> None:
    result = _run("start", "--dir", str(directory), *arguments)
    assert isinstance(result.exception, InvalidOption)
    assert not directory.exists()
