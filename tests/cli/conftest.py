from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from taskflow.broker.sync import Broker
from taskflow.cli.main import main
from tests.inspector.stored import Stored
from tests.servers import Server


@pytest.fixture
def stored(broker: Broker, raw: redis.Redis, queue: str) -> Stored:
    """Writes tasks into a queue of the test's own."""
    return Stored(broker, raw, queue)


@pytest.fixture
def cli(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `taskflow ...` in this process, on the test's server."""
    monkeypatch.setenv("TASKFLOW_BROKER", valkey.url)

    def run(*words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, words, input=stdin)

    return run


@pytest.fixture
def cli_json(cli: Callable[..., Result]) -> Callable[..., Any]:
    """Runs `taskflow ... --json`; the value."""

    def run(*words: str) -> Any:
        result = cli(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run
