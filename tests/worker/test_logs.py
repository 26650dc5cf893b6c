"""What the log of a worker shows of its tasks, and what others who listen to it get."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.errors import TaskFailed
from taskflow.telemetry.logs import JSONFormatter, TextFormatter
from tests.servers import Server, free_port, wait_until
from tests.workers import WorkerProcess

APP = '''
import logging, logging.config, os
from taskflow import TaskFlow

app = TaskFlow("logs", retention=600)
logger = logging.getLogger("jobs.orders")
tracked = []

class Tracker(logging.Handler):
    """An error tracker that listens to logging."""
    def emit(self, record):
        if record.exc_info:
            tracked.append(f"{record.levelname} {record.exc_info[0].__name__} {record.exc_info[2] is not None}")

logging.getLogger().addHandler(Tracker())

if os.environ.get("TASKFLOW_TEST_DICT_CONFIG") == "root":
    logging.config.dictConfig({"version": 1, "root": {"level": "INFO"}})
elif os.environ.get("TASKFLOW_TEST_DICT_CONFIG"):
    logging.config.dictConfig({"version": 1, "loggers": {"jobs": {"level": "INFO"}}})

@app.task(name="says")
def says() -> None:
    logger.debug("a debug line of the task")
    logging.getLogger("elsewhere").info("an info line of a library")
    logger.info("an info line of the task", extra={"order": 17, "where": {"shelf": 3}, "level": "forged"})

@app.task(name="fails", max_retries=0)
def fails(token: str) -> None:
    raise ValueError(f"cannot use {token}")

@app.task(name="configures")
def configures() -> None:
    logging.config.dictConfig({"version": 1})

@app.task(name="tracked")
def what_was_tracked() -> list[str]:
    return tracked
'''


class Place:
    def __init__(self, directory: Path, server: Server, queue: str) -> None:
        self.directory = directory
        (directory / "jobs.py").write_text(APP)
        self.app = TaskFlow("client", broker=server.url, queue=queue, retention=600)
        for name in ("says", "configures", "tracked"):

            def stub() -> Any: ...

            self.app.task(name=name)(stub)

        @self.app.task(name="fails", max_retries=0)
        def fails(token: str) -> None: ...

        self._server, self._queue = server, queue

    def worker(self, **options: Any) -> WorkerProcess:
        given = {"concurrency": 1, "queues": {self._queue: 1}, "broker": self._server.url, **options}
        return WorkerProcess("jobs", directory=self.directory, **given)

    def call(self, name: str, **arguments: object) -> Any:
        return self.app.tasks[name].delay(**arguments).get(20)


@pytest.fixture
def place(tmp_path: Path, valkey: Server, queue: str) -> Iterator[Place]:
    place = Place(tmp_path, valkey, queue)
    yield place
    place.app.close()


def test_debug_shows_what_tasks_log(place: Place) -> None:
    """`-l debug` raised the root logger to WARNING, against the noise of others: the user's own INFO lines were gone."""
    with place.worker(log_level="debug") as worker:
        place.call("says")
        worker.wait_for_log("an info line of the task")
        worker.wait_for_log("a debug line of the task")
        worker.wait_for_log("an info line of a library")


def test_json_has_what_a_line_was_given_as_extra(place: Place) -> None:
    with place.worker(log_format="json", ready=False) as worker:
        place.call("says")
        line = json.loads(worker.wait_for_log("an info line of the task"))
        assert not [line for line in worker.log if "a debug line" in line]
    assert (line["order"], line["where"], line["level"]) == (17, {"shelf": 3}, "info")


def test_a_tracker_that_listens_to_logging_gets_the_traceback(place: Place) -> None:
    """And our own lines show neither it nor the text: that holds an argument."""
    with place.worker() as worker:
        place.app.tasks["fails"].delay(token="secret").state  # noqa: B018
        line = worker.wait_for_log("archived")
        assert place.call("tracked") == ["ERROR ValueError True"]
    assert "ValueError at " in line
    assert not [line for line in worker.log if "secret" in line or "Traceback" in line or "File" in line]


@pytest.mark.parametrize("config", ["loggers", "root"])
def test_the_apps_own_log_configuration_does_not_silence_the_tasks_lines(place: Place, config: str) -> None:
    """`disable_existing_loggers` is true unless one says otherwise."""
    environment = {"TASKFLOW_TEST_DICT_CONFIG": config}
    with place.worker(environment=environment) as worker:
        place.call("says")
        worker.wait_for_log("Task says")
        worker.wait_for_log("succeeded")


def test_nor_does_one_that_a_task_makes(place: Place) -> None:
    with place.worker() as worker:
        place.call("configures")
        place.call("says")
        worker.wait_for_log(lambda line: "Task says" in line and "succeeded" in line)


# --- formatters -------------------------------------------------------------------------------------------------------


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def record(
    name: str = "taskflow.task", text: str = "a %s", *values: object, **extra: object
) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, "file.py", 1, text, values, None)
    vars(made).update(extra)
    return made


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Mute(), "<Mute>"),
        (float("nan"), "nan"),
        ({1: Mute()}, None),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        ([1.5], [1.5]),
    ],
)
def test_a_value_that_is_no_json_costs_no_line(value: object, shown: object) -> None:
    line = json.loads(JSONFormatter().format(record("jobs", "%s", "a line", extra=value)))
    assert line["message"] == "a line"
    assert shown is None or line["extra"] == shown


def test_a_value_that_holds_itself_costs_no_line() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert "a line" in JSONFormatter().format(record("jobs", "%s", "a line", extra=endless))


@pytest.mark.parametrize("formatter", [TextFormatter, JSONFormatter])
def test_a_name_of_a_megabyte_is_cut(formatter: type[logging.Formatter]) -> None:
    line = formatter().format(record("taskflow.task", "Task %s", "x" * 1_000_000, task="x" * 1_000_000))
    assert len(line) < 3000
    assert "1,000,000 characters" in line


def test_health_and_the_last_line_say_how_many_attempts_ended_and_how(place: Place) -> None:
    """The children count, the worker adds up: what came with the last verdict of a child is in it."""
    port = free_port()
    with place.worker(health_port=port) as worker:
        for _ in range(2):
            place.call("says")
        with pytest.raises(TaskFailed):
            place.call("fails", token="secret")
        wait_until(lambda: counted(port).get("fails") == (1, 1), description="it is counted")
        assert counted(port) == {"says": (2, 0), "fails": (1, 1)}
        assert worker.terminate() == 0
        worker.wait_for_log(lambda line: "Stopped after" in line and line.endswith("; 3 attempts, 1 failed"))


def counted(port: int) -> dict[str, tuple[int, int]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
        tasks = json.load(answer)["tasks"]
    assert all(0 < one["longest"] <= one["seconds"] < 60 for one in tasks.values())
    return {name: (one["count"], one["failures"]) for name, one in tasks.items()}
