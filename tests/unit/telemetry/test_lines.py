"""The line of each event: its words, its level, and what stands beside it for handlers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from taskflow.telemetry import events, lines, saying
from taskflow.telemetry.events import Event, emit
from taskflow.telemetry.flood import MOST_OF_A_KIND, Flood
from taskflow.telemetry.lines import Lines
from taskflow.telemetry.logs import JSONFormatter
from tests.listening import logged

WHO = ("images:resize", "t1", "images", 2)


def raised() -> ValueError:
    try:
        raise ValueError("the secret")
    except ValueError as error:
        return error


@pytest.fixture(autouse=True)
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lines are written for as long as a test lasts."""
    logger = logging.getLogger("taskflow")
    before = logger.level
    logger.setLevel("DEBUG")
    monkeypatch.setattr(saying, "flood", Flood())
    with logged():
        yield
    logger.setLevel(before)


@pytest.mark.parametrize(
    ("event", "level", "logger", "line"),
    [
        (events.Received(*WHO), "INFO", "task", "Task images:resize[t1] received"),
        (events.Succeeded(*WHO, 0.0123), "INFO", "task", "Task images:resize[t1] succeeded in 0.0123s"),
        (
            events.Expired(*WHO),
            "WARNING",
            "task",
            "Task images:resize[t1] had not started when it expired; archived",
        ),
        (
            events.Expired(*WHO, late_seconds=3.0),
            "WARNING",
            "worker",
            "Task t1 of queue images is archived: it had not started when it expired, 3.0 s ago",
        ),
        (
            events.Unread(*WHO, kind="unsigned", reason="unsigned", count=2),
            "ERROR",
            "task",
            "Task t1 in queue images was archived unread: unsigned (2 so far in this process)",
        ),
        (
            events.Unread(*WHO, kind="large", reason="its message has 9 bytes"),
            "ERROR",
            "worker",
            "Task t1 in queue images was archived unread: its message has 9 bytes",
        ),
        (
            events.Poisonous(*WHO, crashes=3),
            "ERROR",
            "worker",
            "Task t1 of queue images is archived: its process died 3 times while it ran",
        ),
        (
            events.PutBack(*WHO, "is not known to this app", 2.0),
            "WARNING",
            "task",
            "Task images:resize[t1] is not known to this app; put back for 2s, for a worker that can run it",
        ),
        (
            events.TimedOut(*WHO, hard=True, killed=True),
            "ERROR",
            "worker",
            "Task t1 in queue images is over its hard time limit; its process will be killed",
        ),
        (
            events.Quarantined((("t1", "images", 1),)),
            "WARNING",
            "worker",
            "1 task was running when a process died, and runs apart from the others now: t1 of queue images (1)",
        ),
        (
            events.Quarantined(tuple((f"t{n}", "q", 2) for n in range(7))),
            "WARNING",
            "worker",
            "7 tasks were running when a process died, and run apart from the others now: t0 of queue q (2), t1 of queue q (2), "
            "t2 of queue q (2), t3 of queue q (2), t4 of queue q (2), ...",
        ),
        (
            events.Recovered("images", 1),
            "WARNING",
            "worker",
            "1 task of queue images had lost its worker and was given back",
        ),
        (
            events.Recovered("images", 2),
            "WARNING",
            "worker",
            "2 tasks of queue images had lost their worker and were given back",
        ),
        (
            events.ChildStopped(411, "signal SIGKILL", False, 1, 2),
            "ERROR",
            "worker",
            "Child 411 ended (signal SIGKILL) while it ran 1 task; 2 more had not started; all go back at once",
        ),
        (
            events.WorkerStopped(0.5, 1, 0),
            "INFO",
            "worker",
            "Stopped after 0.5 s; 1 attempt, 0 failed",
        ),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, Event) else "",
)
def test_each_event_has_its_line(
    event: Event, level: str, logger: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    emit(event)
    assert [(r.levelname, r.name, r.getMessage()) for r in caplog.records] == [
        (level, f"taskflow.{logger}", line)
    ]


def test_a_child_that_ends_as_it_was_told_to_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    emit(events.ChildStopped(411, "exit code 0", True, 0, 0))
    assert not caplog.records


@pytest.mark.parametrize("kind", [events.Retried, events.Archived, events.ResultLost])
def test_a_failures_record_has_the_exception_and_the_facts_for_handlers(
    kind: type[events.Retried], caplog: pytest.LogCaptureFixture
) -> None:
    """An error tracker that listens to `logging` groups by the exception and its traceback, and tags by the facts."""
    error = raised()
    emit(events.Retried(*WHO, 0.25, error, 3.0) if kind is events.Retried else kind(*WHO, 0.25, error))
    [record] = caplog.records
    assert record.exc_info == (ValueError, error, error.__traceback__)
    facts = {name: vars(record)[name] for name in ("task", "id", "queue", "retried", "seconds")}
    assert facts == {"task": "images:resize", "id": "t1", "queue": "images", "retried": 2, "seconds": 0.25}
    assert "secret" not in record.getMessage()
    assert f"ValueError at {__file__}:" in record.getMessage()
    line = json.loads(JSONFormatter().format(record))
    assert {**line, **facts} == line
    assert "secret" not in str(line)


def test_a_record_factory_that_has_such_names_itself_costs_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """`logging` refuses an `extra=` that is there already: the line would be gone."""
    usual = logging.getLogRecordFactory()

    def factory(*args: object, **kwargs: object) -> logging.LogRecord:
        record = usual(*args, **kwargs)
        record.id = "of a request"
        return record

    logging.setLogRecordFactory(factory)
    try:
        emit(events.Succeeded(*WHO, 0.5))
    finally:
        logging.setLogRecordFactory(usual)
    assert [record.getMessage() for record in caplog.records] == [
        "Task images:resize[t1] succeeded in 0.5000s"
    ]


def test_at_a_level_that_shows_neither_no_task_makes_an_event_for_the_log() -> None:
    """Two events a task, for nobody. The level may be changed at any time: what counts is that of each batch."""
    kept = Lines()
    kept.begin()
    assert events.Received.heard
    logging.getLogger("taskflow").setLevel("WARNING")
    kept.follow()
    assert lines._write not in events.Received.heard + events.Succeeded.heard
    assert lines._write in events.Archived.heard
    logging.getLogger("taskflow").setLevel("INFO")
    kept.follow()
    assert lines._write in events.Received.heard
    assert lines._write in events.Succeeded.heard


def test_what_befalls_many_tasks_at_once_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A worker that was away for longer than its leases comes back to a thousand verdicts that are too late."""
    for number in range(1000):
        emit(events.VerdictRefused("", f"t{number}", "images", 0))
    assert len(caplog.records) == MOST_OF_A_KIND
    assert "A late verdict on task t0 of queue images was refused: it is not ours any more" in caplog.text


def test_a_name_of_a_megabyte_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    emit(events.Received("x" * 1_000_000, "y" * 1_000_000, "images", 0))
    [record] = caplog.records
    assert len(record.getMessage()) + len(record.task) + len(record.id) < 2000  # type: ignore[attr-defined]
