"""`taskflow task watch`, and what tasks have said in `taskflow task inspect`."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from taskflow.broker.commands.dequeue import Taken
from taskflow.broker.commands.finish import finish
from taskflow.broker.commands.report import report
from taskflow.broker.sync import Broker
from taskflow.message.report import Report, encode_lines, encode_progress
from taskflow.states import State, Verb
from tests.inspector.stored import Stored
from tests.servers import Server, wait_until
from tests.taking import ended, take_one

Cli = Callable[..., Result]

TEXT = "row [red]\x1b[2J 1"


def said(seq: int, done: int, *lines: str) -> Report:
    chunks = encode_lines([(1_800_000_000.5, "", line) for line in lines], seq, 1, 7, None)
    return Report(1, seq, encode_progress(done, 4, TEXT, 1_800_000_000.0, 1, None), chunks)


@pytest.fixture
def running(stored: Stored, broker: Broker) -> Taken:
    """A task that runs, and has said something."""
    stored.put(State.PENDING, f"t-{stored.queue}")
    taken = take_one(broker, stored.queue, "me")
    broker.run(report(stored.queue, [(taken, [said(1, 1, "first")])]))
    return taken


def end(broker: Broker, queue: str, taken: Taken, verb: Verb = Verb.COMPLETE, **fields: Any) -> None:
    broker.run(finish(queue, [ended(taken, verb, delay=60.0, **fields)], time.time()))


def test_inspect_shows_progress_lines_and_the_last_sign_of_life(
    cli: Cli, cli_json: Callable[..., Any], stored: Stored, running: Taken
) -> None:
    shown = cli("task", "inspect", running.id).output
    found = cli_json("task", "inspect", running.id)

    assert "Progress:      1/4 (25 %), row [red]\\x1b[2J 1\n" in shown
    assert "Last heard of:" in shown
    assert "  08:00:00 first\n" in shown
    assert found["progress"]["done"] == 1
    assert found["progress"]["total"] == 4
    assert found["lines"][0]["text"] == "first"
    assert found["reported_at"]
    assert "progress" not in cli_json("task", "ls", "-q", stored.queue, "-s", "active")["tasks"][0]


def test_what_ends_is_told_as_lines_with_the_last_words_and_an_exit_code(
    cli: Cli, stored: Stored, running: Taken, broker: Broker
) -> None:
    timer = threading.Timer(0.3, end, (broker, stored.queue, running), {"said": (said(2, 4, "second"),)})
    timer.start()
    result = cli("task", "watch", running.id)
    timer.join()

    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "The task is active",
        "08:00:00 first",
        "Progress: 1/4 (25 %), row [red]\\x1b[2J 1",
        "08:00:00 second",
        "Progress: 4/4 (100 %), row [red]\\x1b[2J 1",
        "The task is completed",
        "It has succeeded",
    ]


def test_with_json_each_event_is_a_line_and_a_failure_an_exit_code(
    cli: Cli, stored: Stored, running: Taken, broker: Broker
) -> None:
    end(broker, stored.queue, running, Verb.ARCHIVE, error='{"type": "ValueError", "text": "boom"}')
    result = cli("task", "watch", running.id, "-q", stored.queue, "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]

    assert result.exit_code == 1
    assert [event["event"] for event in events] == ["state", "lines", "progress", "verdict"]
    assert events[0]["state"] == "archived"
    assert events[1]["lines"][0]["text"] == "first"
    assert events[-1] == {"event": "verdict", "state": "archived", "error": "boom"}


def test_one_that_nobody_knows_and_one_that_takes_too_long_are_said(
    cli: Cli, stored: Stored, running: Taken
) -> None:
    unknown, late = cli("task", "watch", "nobody"), cli("task", "watch", running.id, "--timeout", "0.2")

    assert (unknown.exit_code, late.exit_code) == (2, 2)
    assert "no queue that is listed has a task 'nobody'" in unknown.output
    assert "no verdict in time" in late.output


def test_on_a_terminal_there_is_a_bar_and_ctrl_c_leaves_quietly(
    valkey: Server, stored: Stored, running: Taken
) -> None:
    """The task goes on: it is the watching that ends."""
    leader, follower = pty.openpty()
    command = [str(Path(sys.executable).with_name("taskflow")), "task", "watch", running.id]
    environment = {**os.environ, "TASKFLOW_BROKER": valkey.url, "TERM": "xterm", "COLUMNS": "100"}
    shown = b""
    try:
        with subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, env=environment
        ) as process:
            os.set_blocking(leader, False)

            def shows(text: bytes) -> bool:
                nonlocal shown
                with contextlib.suppress(BlockingIOError):
                    shown += os.read(leader, 65536)
                return text in shown

            wait_until(lambda: shows(b"1/4"), description="the bar")
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
            shows(b"")
    finally:
        os.close(leader)
        os.close(follower)

    assert "━" in shown.decode()
    assert b" 25%" in shown
    assert b"[red]" in shown  # as it is, not as a colour
    assert b"Traceback" not in shown
    assert b"Aborted" not in shown
