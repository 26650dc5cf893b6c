"""`taskflow call`: one call of a task, from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from taskflow.broker.sync import Broker
from taskflow.message.task_message import TaskMessage
from tests.servers import Server
from tests.taking import take_one
from tests.workers import WorkerProcess

SHOP = """
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from taskflow import TaskFlow

app = TaskFlow("shop")

@dataclass
class Parcel:
    weight: float

@app.task(name="resize", queue={queue!r})
def resize(src: str, width: int = 800, *, crop: bool = False) -> str:
    return f"{{src}} at {{width}}"

@app.task(name="shop.many", queue={queue!r})
def many(day: date, price: Decimal, tags: list[str], parcel: Parcel | None = None, from_: int = 0, note=None): ...

@app.task(name="bad", queue={queue!r}, max_retries=0)
def bad(n: int) -> None:
    raise ValueError("there is no such stamp")
"""


@pytest.fixture
def shop(tmp_path: Path, queue: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / f"shop_{queue}".replace("-", "_")).with_suffix(".py").write_text(SHOP.format(queue=queue))
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield f"shop_{queue}".replace("-", "_")
    sys.path[:] = before


@pytest.fixture
def called(cli: Callable[..., Result], broker: Broker, queue: str) -> Callable[..., TaskMessage]:
    """What a call of the command has put into the queue."""

    def called(*words: str) -> TaskMessage:
        result = cli("call", *words)
        assert result.exit_code == 0, result.output
        message = TaskMessage.decode(take_one(broker, queue, "host:1:test").message)
        assert result.stdout == f"{message.id}\n"
        return message

    return called


def payload(message: TaskMessage) -> Any:
    return json.loads(message.payload or b"{}")


@pytest.mark.broken_keys
def test_text_becomes_what_the_function_is_annotated_with(
    shop: str, called: Callable[..., TaskMessage]
) -> None:
    """On a command line everything is text; `src=1` is a name all the same, and `width=1` a number."""
    assert payload(
        called("-A", shop, "resize", "--arg", "src=1", "--arg", "width=1", "--arg", "crop=true")
    ) == {
        "src": "1",
        "width": 1,
        "crop": True,
    }
    texts = [
        "day=2026-01-02",
        "price=1.10",
        'tags=["a", "1"]',
        'parcel={"weight": 1.5}',
        "from=5",
        "note=[1]",
    ]
    found = called("-A", shop, "shop.many", *(word for text in texts for word in ("--arg", text)))
    assert payload(found) == {
        "day": "2026-01-02",
        "price": "1.10",
        "tags": ["a", "1"],
        "parcel": {"weight": 1.5},
        "from": 5,
        "note": [1],
    }


@pytest.mark.broken_keys
def test_json_and_celerys_options_work_too(shop: str, called: Callable[..., TaskMessage]) -> None:
    assert payload(called("-A", shop, "resize", '{"src": "a"}', "--arg", "width=5")) == {
        "src": "a",
        "width": 5,
    }
    found = called("-A", shop, "resize", "-a", '["a", 5]', "-k", '{"crop": true}', "--id", "resize-1")
    assert (payload(found), found.id) == ({"src": "a", "width": 5, "crop": True}, "resize-1")


@pytest.mark.broken_keys
def test_the_app_may_come_from_the_environment(
    shop: str, called: Callable[..., TaskMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who works on one project does not want to write -A in each line; and -A still wins."""
    monkeypatch.setenv("TASKFLOW_APP", shop)
    assert payload(called("resize", "--arg", "src=a")) == {"src": "a"}
    monkeypatch.setenv("TASKFLOW_APP", "no_such_module")
    assert payload(called("-A", shop, "resize", "--arg", "src=a")) == {"src": "a"}


@pytest.mark.broken_keys
def test_a_task_that_nobody_here_knows_gets_json_or_text(
    shop: str, called: Callable[..., TaskMessage], queue: str
) -> None:
    found = called(
        "email:deliver", "-q", queue, "--arg", "to=5", "--arg", "text=hello you", "--arg", "from_=x"
    )
    assert (found.type, payload(found)) == ("email:deliver", {"to": 5, "text": "hello you", "from_": "x"})
    assert called("-A", shop, "email:deliver", "-q", queue).type == "email:deliver"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["resize", "--arg", "width=5"], "missing argument `src`"),
        (["resize", "--arg", "src=a", "--arg", "width=wide"], "argument `width`: expected int, got str"),
        (["resize", "--arg", "src=a", "--arg", "wide=5"], "unexpected argument `wide`"),
        (["resize", "-a", '["a"]', "--arg", "src=a"], "argument `src` is given twice"),
        (["resize", "-a", '["a", 1, true]'], "takes 2 positional arguments but 3 were given"),
        (["resize", "--arg", "src"], "write NAME=VALUE"),
        (["resize", "src=a"], "this is no JSON"),
        (["resize", "5"], "write an object"),
        (["resize", "-a", "{}"], "write a list"),
        (["many"], "did you mean 'shop.many'?"),
        (["resise", "--arg", "src=a"], "did you mean 'resize'?"),
        (["email:deliver", "-a", "[1]"], "by name"),
        (["resize", "--arg", "src=a", "--eta", "tomorrow"], "write a moment as"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_sent(
    cli: Callable[..., Result],
    cli_json: Callable[..., Any],
    shop: str,
    queue: str,
    words: list[str],
    said: str,
) -> None:
    result = cli("-A", shop, "call", *words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert queue not in [found["queue"] for found in cli_json("queue", "ls")]


def test_waiting_prints_the_result_alone_or_says_why_there_is_none(
    valkey: Server, shop: str, queue: str
) -> None:
    """`taskflow call … -w | jq`: id and errors go to standard error. A task without `retention` keeps its result for this."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("taskflow")), "call", "-A", shop, *words]
        env = {**os.environ, "TASKFLOW_BROKER": valkey.url}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)

    with WorkerProcess(shop, directory=Path.cwd(), broker=valkey.url, queues={queue: 1}):
        done = call("resize", "--arg", "src=a", "--wait")
        assert (done.returncode, done.stdout) == (0, '"a at 800"\n')
        assert len(done.stderr.strip()) == 36
        failed = call("bad", "--arg", "n=5", "--wait")
        assert (failed.returncode, failed.stdout) == (1, "")
        assert "failed: ValueError: there is no such stamp" in failed.stderr
    nobody = call("resize", "--arg", "src=a", "--id", "late", "--wait", "--timeout", "0.1")
    assert nobody.returncode == 2
    assert "has no verdict yet (pending); is there a worker" in nobody.stderr
