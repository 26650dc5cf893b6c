"""A secret in arguments, results, exceptions and URLs is found where it was asked for, and nowhere else."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click.testing
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow import TaskFlow, errors
from taskflow.cli.main import main
from taskflow.connection.url import parse
from taskflow.telemetry.logs import JSONFormatter, TextFormatter
from taskflow.telemetry.traces import place
from tests.security.conftest import Stored
from tests.security.keys import CANARY
from tests.servers import Server, start_server, wait_until
from tests.workers import ROOT, WorkerProcess

Worker = Callable[..., WorkerProcess]

FAILING = ("fail", "afail", "unserialisable", "policy_fails")


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose password is the canary."""
    server = start_server(tmp_path_factory.mktemp("secretive"))
    redis.Redis(port=server.port).config_set("requirepass", CANARY)
    yield server
    server.stop()


def drive(app: TaskFlow, queue: str) -> list[str]:
    """Every way in which a secret can reach a worker; the ids of the tasks that fail."""
    tasks = {name: task.options(queue=queue) for name, task in app.tasks.items()}
    assert tasks["echo"].delay(CANARY).get(20) == CANARY
    assert tasks["aecho"].delay(CANARY).get(20) == CANARY
    assert tasks["fail_and_retry"].delay(CANARY).get(20) == CANARY
    failing = [tasks[name].delay(CANARY) for name in FAILING]
    failing.append(tasks["takes_model"].delay({"secret": CANARY}))
    # Arguments that do not fit any more where they arrive, as from a client of another release:
    client = TaskFlow("client", broker=app.broker_url, queue=queue, retention=600, max_retries=0)
    client._crypto = app._crypto
    for name in ("add", "takes_model"):

        def other(first: Any = None, model: Any = None) -> None: ...

        client.task(name=name)(other)
    failing += [client.send("add", first=CANARY), client.send("takes_model", model={"secret": f"!{CANARY}"})]
    for result in failing:
        with pytest.raises((errors.TaskFailed, errors.ResultNotKept, AssertionError)):
            assert result.get(20) is not None
    client.close()
    return [result.id for result in failing]


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("app", ["plain", "hidden", "signed", "sealed"])
def test_no_line_of_the_log_has_it_at_any_level(
    secretive: Server,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
    apps: ModuleType,
    app: str,
    log_format: str,
) -> None:
    url = f"redis://:{CANARY}@127.0.0.1:{secretive.port}"
    monkeypatch.setenv("TASKFLOW_BROKER", url)
    with WorkerProcess(
        f"tests.security.app:{app}",
        broker=url,
        queues={queue: 1},
        concurrency=2,
        log_level="debug",
        log_format=log_format,
        ready=False,
    ) as process:
        process.wait_for_log(" worker for ")
        drive(getattr(apps, app), queue)
        slow = getattr(apps, app).tasks["echo"].options(queue=queue)
        process.signal(signal.SIGUSR1)
        process.signal(signal.SIGHUP)
        process.wait_for_log("Restarting the child processes")
        assert slow.delay("after").get(20) == "after"
        assert process.terminate() == 0
    assert len(process.log) > 30
    assert not [line for line in process.log if CANARY in line]
    # The types and places are there, of causes too, and of what a task left behind.
    log = "\n".join(process.log)
    assert "ValueError" in log
    assert "KeyError" in log
    assert "What a task left behind on the event loop failed: ValueError at " in log
    assert "tests/security/app.py" in log


def test_the_log_has_it_when_it_is_asked_for(apps: ModuleType, worker: Worker, queue: str) -> None:
    with worker("plain", log_level="debug", log_errors=True) as process:
        with pytest.raises(errors.TaskFailed):
            apps.plain.tasks["fail"].options(queue=queue).delay(CANARY).get(20)
        process.terminate()
    assert [line for line in process.log if f"ValueError: cannot use {CANARY}" in line]


def test_the_error_of_a_task_is_its_exceptions_text_unless_that_is_switched_off(
    apps: ModuleType, worker: Worker, stored: Stored, queue: str
) -> None:
    with worker("plain"):
        result = apps.plain.tasks["fail"].options(queue=queue).delay(CANARY)
        with pytest.raises(errors.TaskFailed) as raised:
            result.get(20)
        assert raised.value.text == f"cannot use {CANARY}"
    with worker("hidden"):
        result = apps.hidden.tasks["fail"].options(queue=queue).delay(CANARY)
        with pytest.raises(errors.TaskFailed) as raised:
            result.get(20)
        assert raised.value.text == "ValueError"
        # What taskflow says itself holds no data, and what a task gives as its reason is meant to be kept.
        rejected = apps.hidden.tasks["reject"].options(queue=queue).delay("no such order")
        with pytest.raises(errors.TaskFailed, match="no such order"):
            rejected.get(20)
        late = apps.hidden.tasks["echo"].options(queue=queue, expires=1, delay=3).delay("x")
        with pytest.raises(errors.TaskFailed, match="expired"):
            late.get(20)


@pytest.mark.parametrize("app", ["hidden", "sealed"])
def test_what_is_archived_has_it_only_as_the_arguments(
    apps: ModuleType, worker: Worker, stored: Stored, queue: str, app: str
) -> None:
    """With `error_text=False`; where arguments are encrypted too, nothing on the server has it."""
    with worker(app):
        failing = drive(getattr(apps, app), queue)
        for task_id in failing:
            wait_until(
                lambda task_id=task_id: stored.state(task_id) in ("archived", "completed"),
                description="verdict",
            )  # type: ignore[misc]
    for task_id in failing:
        task, message = stored.task(task_id), stored.message(task_id)
        assert CANARY not in message.error_msg
        assert CANARY.encode() not in task.get(b"error", b"")
        assert CANARY not in " ".join([*message.headers, *message.headers.values(), message.unique_key])
        assert (CANARY.encode() in (message.payload or b"")) == (app == "hidden")
    if app == "sealed":
        for key in stored.raw.scan_iter(f"*{{{queue}}}*"):
            assert CANARY.encode() not in key
            assert CANARY.encode() not in dump(stored, key), key


def dump(stored: Stored, key: bytes) -> bytes:
    """Everything under a key, uncompressed."""
    kind = stored.raw.type(key)
    if kind == b"hash":
        return b" ".join(part for pair in stored.raw.hgetall(key).items() for part in pair)
    if kind == b"list":
        return b" ".join(stored.raw.lrange(key, 0, -1))
    if kind == b"zset":
        return b" ".join(stored.raw.zrange(key, 0, -1))
    if kind == b"set":
        return b" ".join(stored.raw.smembers(key))
    return stored.raw.get(key) or b""


def test_commands_show_arguments_and_results_only_when_they_are_asked_to(
    apps: ModuleType, worker: Worker, stored: Stored, valkey: Server, queue: str
) -> None:
    # Other tests of this server leave queues that cannot be read, and `queue ls` says so by its exit code.
    stored.raw.flushall()
    with worker("hidden"):
        result = apps.hidden.tasks["echo"].options(queue=queue).delay(CANARY)
        result.get(20)
        failed = apps.hidden.tasks["fail"].options(queue=queue).delay(CANARY)
        wait_until(lambda: stored.state(failed.id) == "archived", description="it failed")
        waiting = apps.hidden.tasks["echo"].options(queue=queue, delay=600).delay(CANARY)
        shown = [
            ("queue", "ls"),
            ("queue", "inspect", queue),
            ("stats",),
            ("server", "ls"),
            *(("task", "ls", "-q", queue, "-s", state) for state in ("completed", "archived", "scheduled")),
            ("task", "inspect", "-q", queue, result.id, failed.id, waiting.id),
        ]
        for words in shown:
            for as_json in ((), ("--json",)):
                output = invoke(valkey, *words, *as_json)
                assert CANARY not in output, words
    for as_json in ((), ("--json",)):
        output = invoke(valkey, "task", "inspect", "-q", queue, result.id, "--payload", *as_json)
        assert output.count(CANARY) == 2


def invoke(server: Server, *words: str) -> str:
    done = click.testing.CliRunner().invoke(main, [*words, "-b", server.url], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


# --- errors -----------------------------------------------------------------------------------------------------


def test_no_error_at_the_callers_side_has_an_argument(apps: ModuleType, queue: str) -> None:
    tasks = apps.plain.tasks
    calls: list[Callable[[], Any]] = [
        lambda: tasks["add"].delay(CANARY),
        lambda: tasks["add"].delay(first=1, second=[CANARY]),
        lambda: tasks["echo"].delay({CANARY}),
        lambda: tasks["echo"].delay(CANARY, CANARY),
        lambda: tasks["takes_model"].delay(CANARY),
        lambda: tasks["takes_model"].delay({"secret": [CANARY]}),
        lambda: tasks["echo"].delay(CANARY * 200_000),
        lambda: tasks["echo"].options(headers={"x": CANARY * 2000}).delay("x"),
        lambda: tasks["echo"].options(queue=queue, unique=60).map([(CANARY,), (CANARY,)]).raise_for_errors(),
    ]
    for call in calls:
        with pytest.raises(errors.TaskFlowError) as raised:
            call()
        assert CANARY not in str(raised.value)
        assert CANARY not in str(raised.value.__cause__ or "")


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "redis+sentinel"])
def test_no_error_of_a_connection_has_the_password(scheme: str, secretive: Server, valkey: Server) -> None:
    from taskflow.broker.command import Plain
    from taskflow.broker.sync import Broker
    from taskflow.connection.sync import SyncDriver

    tail = "/service" if scheme.endswith("sentinel") else ""
    for login in (f":{CANARY}", f"user:{CANARY}", f"{CANARY}:{CANARY}"):
        for port in (secretive.port, valkey.port, 1):
            broker = Broker(SyncDriver(f"{scheme}://{login}x@127.0.0.1:{port}{tail}"))
            says = said_by(
                errors.TaskFlowError, lambda broker=broker: broker.run(Plain(("PING",), bytes), 0.5)
            )  # type: ignore[misc]
            # The user's name may be shown, also where it is the same word.
            assert CANARY not in says.replace(f"{CANARY}:***", "").replace(f"user '{CANARY}'", "")
            broker.close()


def said_by(kind: type[Exception], call: Callable[[], object]) -> str:
    """The text of the error that a call raises; "" for none."""
    try:
        call()
    except kind as error:
        return str(error)
    return ""


LOGINS = st.text(st.sampled_from("/?#@:,[]%&=+ a1"), max_size=6)


@settings(deadline=None, max_examples=500)
@given(
    st.sampled_from(["redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "embedded", "http", ""]),
    LOGINS,
    LOGINS,
    st.sampled_from(["@h", "@h:1", "", "@h/0", "@h:x", "@h/x/y", "@/run/x", "@h?db=1", "@h?nope=1"]),
)
def test_no_error_about_a_url_has_the_password(scheme: str, before: str, after: str, tail: str) -> None:
    """Also one that was not escaped, so that a part of it stands where something else belongs."""
    url = f"{scheme}://:{before}{CANARY}{after}{tail}"
    if says := said_by(errors.InvalidBrokerURL, lambda: parse(url)):
        assert CANARY not in says
        return
    parsed = parse(url)
    if parsed.password is not None and CANARY in parsed.password:
        assert CANARY not in str(parsed) + repr(parsed)
        assert CANARY not in repr(TaskFlow("x", broker=url))


def test_an_app_that_cannot_be_imported_says_why_without_the_url(project: Path) -> None:
    (project / "broken.py").write_text(
        f"from taskflow import TaskFlow\napp = TaskFlow('x', broker='redis://:{CANARY}@h:port')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "taskflow", "worker", "-A", "broken"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "is not a port" in done.stderr
    # The traceback shows the user's own line of code; everything else is without it.
    assert CANARY not in "\n".join(line for line in done.stderr.splitlines() if "app = TaskFlow" not in line)


# --- the formatters ---------------------------------------------------------------------------------------------


def record(name: str = "taskflow.task", message: str = "Task %s failed", *args: object) -> logging.LogRecord:
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as cause:
            raise ValueError(CANARY) from cause
    except ValueError:
        return logging.LogRecord(name, logging.ERROR, __file__, 1, message, args or ("x",), sys.exc_info())


@pytest.mark.parametrize("formatter", [TextFormatter, JSONFormatter])
def test_tracebacks_of_ours_have_places_and_types_and_no_text(formatter: Any) -> None:
    text = formatter().format(record())
    assert CANARY not in text
    assert "ValueError" in text
    assert "caused by" in text
    assert "KeyError" in text
    assert f"{Path(__file__).name}" in text
    assert text.count(CANARY) == 0
    assert formatter(errors=True).format(record()).count(CANARY) == 2
    # What a task logs itself is its own affair.
    assert formatter().format(record("shop")).count(CANARY) == 2


def test_a_traceback_that_leads_to_itself_ends() -> None:
    one, other = ValueError("a"), KeyError("b")
    one.__cause__, other.__cause__ = other, one
    made = logging.LogRecord("taskflow", logging.ERROR, "f", 1, "x", (), (ValueError, one, None))
    assert TextFormatter().format(made).endswith("ValueError\ncaused by\nKeyError")


def test_names_and_ids_cannot_forge_lines_of_the_log() -> None:
    forged = "x\n2026-01-01T00:00:00.000Z INFO worker[1]: all is well\x1b[2J"
    made = logging.LogRecord("taskflow.task", logging.INFO, "f", 1, "Task %s[%s] received", (forged, 5), None)
    line = TextFormatter().format(made)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "x\\n2026" in line
    assert json.loads(JSONFormatter().format(made))["message"].count("\n") == 1
    assert "100% sure" in TextFormatter().format(
        logging.LogRecord("taskflow", logging.INFO, "f", 1, "100% sure", (), None)
    )


def test_the_place_of_an_exception_is_in_the_file_that_is_asked_for() -> None:
    with pytest.raises(ValueError) as raised:
        json.loads("{")
    assert place(raised.value, json.decoder.__file__).startswith(json.decoder.__file__)
    assert place(raised.value).startswith(__file__), "a line of the user's, not of a library"
    assert place(raised.value, __file__).startswith(__file__)
    assert place(ValueError()) == ""
