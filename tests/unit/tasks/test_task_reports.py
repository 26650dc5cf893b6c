"""What running tasks say of themselves, on its way out of the child."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import pytest

from taskflow import TaskFlow, current_task
from taskflow.message.message_crypto import NO_KEYS
from taskflow.message.outcome import done
from taskflow.message.report import (
    LONGEST_LINE,
    MOST_LINE_BYTES,
    MOST_LINES,
    Report,
    decode_lines,
    decode_progress,
)
from taskflow.pipe.shared_marks import RING
from taskflow.tasks import task_reports
from taskflow.tasks.cancels import MOST
from taskflow.tasks.task_reports import ReportDesk
from tests.servers import wait_until

app = TaskFlow("reports", eager=True)


@dataclass(eq=False)
class Attempted:
    """An attempt, as far as the desk asks it."""

    is_over: bool = False
    started_at: float = field(default_factory=time.monotonic)
    where: tuple[int, str, bytes, int] = (7, "mail", b"id-1", 2)


@pytest.fixture
def sent() -> list[Report]:
    """What was handed on."""
    return []


@pytest.fixture
def talking(sent: list[Report]) -> Iterator[ReportDesk]:
    """A desk that hands on."""
    desk = ReportDesk(send=sent.append)
    yield desk
    desk.close()


def said(report: Report) -> list[str]:
    return [line.text for chunk in report.chunks for line in decode_lines(chunk.text, str)[1]]


def test_what_is_said_often_is_handed_on_at_most_twice_a_second_and_the_latest_counts(
    talking: ReportDesk, sent: list[Report]
) -> None:
    """A task that reports a hundred thousand times must cost the pipe, the worker and the server no more than one that reports a
    hundred times. Without the throttle there were as many reports as calls.
    """
    desk, attempt = talking, Attempted()
    began = time.monotonic()
    calls = 0
    while time.monotonic() < began + 1.5:
        calls += 1
        desk.of(attempt).progress(calls, None, "")
    outcome = desk.ended(attempt, done(7, "", 0.0))
    seconds = time.monotonic() - began

    assert calls > 10_000
    assert 1 <= len(sent) <= seconds / task_reports.INTERVAL + 1
    assert [one.seq for one in (*sent, *outcome.said)] == list(range(1, len(sent) + 2))
    last = decode_progress(outcome.said[0].progress, str)
    assert last is not None
    assert (last.done, last.attempt) == (calls, 3)


def test_what_ends_soon_says_all_with_its_outcome(talking: ReportDesk, sent: list[Report]) -> None:
    """Quick tasks that report once would else have a call of their own each."""
    desk, attempt = talking, Attempted()
    desk.of(attempt).line("one", "", 1.0)
    desk.of(attempt).progress(1, 1, "")
    outcome = desk.ended(attempt, done(7, "", 0.0))

    assert not sent
    assert said(outcome.said[0]) == ["one"]
    assert not desk.live


def test_the_outcome_of_what_has_said_anything_says_so_even_if_nothing_is_left(
    talking: ReportDesk, sent: list[Report]
) -> None:
    """Whoever watches a task that is not kept hears of its end by that."""
    desk, attempt = talking, Attempted()
    desk.of(attempt).beat()
    wait_until(lambda: sent, description="the report")

    assert desk.ended(attempt, done(7, "", 0.0)).said == (Report(7, 2),)


def test_an_attempt_that_says_nothing_has_nothing_in_its_outcome() -> None:
    desk, attempt = ReportDesk(send=print), Attempted()
    assert not desk.live
    desk.of(attempt)  # it has only asked, say for `cancelled`

    assert desk.ended(attempt, done(7, "", 0.0)).said == ()


def test_after_its_end_an_attempt_is_not_heard_any_more(talking: ReportDesk, sent: list[Report]) -> None:
    """A thread that a task has left behind goes on saying how far it is, and the next attempt may run by then."""
    desk, attempt, late = talking, Attempted(), Attempted(is_over=True)
    before = desk.of(attempt)
    desk.ended(attempt, done(7, "", 0.0))
    attempt.is_over = True
    for reports in (before, desk.of(attempt), desk.of(late)):
        reports.progress(1, 2, "")
        reports.line("late", "", 1.0)
        reports.beat()
    desk.of(other := Attempted()).beat()
    wait_until(lambda: sent, description="the other's report")

    assert len(sent) == 1
    assert list(desk.live) == [other]


def test_threads_of_one_attempt_say_it_in_one_place_and_no_line_is_lost(
    talking: ReportDesk, sent: list[Report]
) -> None:
    desk, attempt = talking, Attempted()

    def speak(name: int) -> None:
        for number in range(100):
            desk.of(attempt).line(f"{name}-{number}", "", 1.0)
            time.sleep(0.001)

    threads = [threading.Thread(target=speak, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reports = [*sent, *desk.ended(attempt, done(7, "", 0.0)).said]
    lines = [text for one in reports for text in said(one)]
    numbers = [
        line.number for one in reports for chunk in one.chunks for line in decode_lines(chunk.text, str)[1]
    ]

    assert sorted(lines) == sorted(f"{name}-{number}" for name in range(4) for number in range(100))
    assert numbers == list(range(1, 401))


def test_of_too_many_lines_the_latest_go_and_their_numbers_tell_how_many_are_missing() -> None:
    desk, attempt = ReportDesk(), Attempted()
    for number in range(MOST_LINES + 30):
        desk.of(attempt).line(f"line {number}", "", 1.0)
    (report,) = desk.ended(attempt, done(7, "", 0.0)).said

    assert sum(chunk.count for chunk in report.chunks) == MOST_LINES
    assert decode_lines(report.chunks[0].text, str)[1][0].number == 31
    assert said(report)[-1] == f"line {MOST_LINES + 29}"


def test_long_lines_are_cut_and_all_of_them_are_bounded_in_bytes() -> None:
    desk, attempt = ReportDesk(), Attempted()
    for _ in range(200):
        desk.of(attempt).line("é" * 10_000 + "\udc80", "", 1.0)
    (report,) = desk.ended(attempt, done(7, "", 0.0)).said

    assert {len(text) for text in said(report)} == {LONGEST_LINE}
    assert sum(len(text.encode()) for text in said(report)) <= MOST_LINE_BYTES


def test_a_cancel_is_for_one_job_and_is_forgotten_when_that_must_have_ended() -> None:
    """A task of the same id may come here again, under another number."""
    desk, now = ReportDesk(), Attempted()
    desk.cancel(now.where[0] + 1)
    assert not desk.is_cancelled(now)
    desk.cancel(now.where[0])
    assert desk.is_cancelled(now)

    for number in range(RING, RING + 2 * MOST, 2):
        desk.cancel(number)
    desk.cancel(3 * RING)

    assert desk.cancelled == {3 * RING}


@app.task
def tell(done: float, total: float | None = None) -> None:
    current_task().progress(done, total)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 2**60, -(10**400)])
def test_numbers_that_nobody_could_read_are_refused_where_they_are_said(number: float) -> None:
    desk = ReportDesk()
    assert desk.seal("q", b"id") is None

    @app.task
    def wrong() -> None:
        current_task().progress(number)

    with pytest.raises(ValueError, match="finite"):
        wrong.apply(throw=True)


def test_other_kinds_of_numbers_are_numbers() -> None:
    @app.task(retention=60)
    def count() -> None:
        current_task().progress(Decimal("1.5"), Fraction(6, 2), "half")  # type: ignore[arg-type]

    progress = count.delay().info().progress

    assert progress is not None
    assert (progress.done, progress.total, progress.fraction, progress.note) == (1.5, 3.0, 0.5, "half")


def test_a_call_of_the_function_says_nothing_to_anybody() -> None:
    """Tests of one's own call tasks as functions."""

    @app.task(bind=True)
    def bound(self: object) -> bool:
        task = self
        task.progress(1, 2)  # type: ignore[attr-defined]
        task.log("x")  # type: ignore[attr-defined]
        task.heartbeat()  # type: ignore[attr-defined]
        return bool(task.cancelled)  # type: ignore[attr-defined]

    assert bound() is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[1]",
        '["a", 1, "", 0, 1]',
        "[true, 1, 2, 3, 4]",
        "[1,2,3,1e99,1]",
        # What would be an error, or no JSON, for whoever reads it.
        '[1,2,"",1e17,1]',
        '[1,1,1,[[-1e17,"",""]]]',
        '[NaN,2,"",1,1]',
        '[1,-Infinity,"",1,1]',
        f'[1{"0" * 400},2,"",1,1]',
    ],
)
def test_what_others_have_stored_is_no_progress_and_no_lines(text: str) -> None:
    assert decode_progress(text, str) is None
    assert decode_lines(text, str)[1] == []


def test_an_app_without_keys_seals_nothing() -> None:
    assert NO_KEYS.close_text("q", b"id", "note") == "note"
    assert NO_KEYS.open_text("q", b"id", "note") == "note"
