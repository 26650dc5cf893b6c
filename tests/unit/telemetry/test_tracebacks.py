"""The traceback that is kept of a failure."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import CurrentTask, TaskFlow
from taskflow.telemetry import tracebacks
from taskflow.telemetry.tracebacks import FIRST_FRAMES, LAST_FRAMES, traceback_text

SECRET = "the-secret"


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it raised nothing")


def fails() -> None:
    raise ValueError(SECRET)


def test_it_is_what_python_prints() -> None:
    error = caught(fails)
    text = traceback_text(error)
    printed = "".join(traceback.format_exception(error)).replace("    ^^^^^^^^^^\n", "")
    printed = "\n".join(line for line in printed.splitlines() if set(line) - set(" ^~"))
    assert text == printed


def test_what_led_to_it_is_shown_in_the_order_in_which_it_happened() -> None:
    def on_purpose() -> None:
        try:
            fails()
        except ValueError as error:
            raise KeyError("b") from error

    def by_accident() -> None:
        try:
            on_purpose()
        except KeyError:
            raise OSError("c") from None if os.environ.get("NEVER") else OSError("cause")

    def hidden() -> None:
        try:
            fails()
        except ValueError:
            raise KeyError("b") from None

    def during() -> None:
        try:
            fails()
        except ValueError:
            raise TypeError("while handling")  # noqa: B904 - that is the case

    text = traceback_text(caught(on_purpose))
    assert text.index(SECRET) < text.index("direct cause of the following") < text.index("KeyError: 'b'")
    assert "direct cause" in traceback_text(caught(by_accident))
    assert SECRET not in traceback_text(caught(hidden)).replace("raise ValueError(SECRET)", "")
    text = traceback_text(caught(during))
    assert text.index(SECRET) < text.index("During handling of") < text.index("TypeError: while handling")


def test_the_parts_of_a_group_are_shown_and_not_more_than_some() -> None:
    def group() -> None:
        inner = ExceptionGroup("inner", [caught(fails), KeyError("x")])  # type: ignore[list-item]
        raise ExceptionGroup("outer", [inner, *(OSError(str(n)) for n in range(50))])

    text = traceback_text(caught(group))
    assert "ExceptionGroup: outer" in text
    assert "  |   | ValueError: the-secret" in text
    assert "KeyError: 'x'" in text
    assert "of 51 left out" in text
    assert text.count("OSError") < 10


def test_a_recursion_is_short_whether_one_function_calls_itself_or_two_each_other() -> None:
    def one() -> None:
        one()

    def two() -> None:
        three()

    def three() -> None:
        two()

    text = traceback_text(caught(one))
    assert "repeated" in text
    assert len(text.splitlines()) < 20
    text = traceback_text(caught(two))
    assert "frames left out" in text
    assert len(text.splitlines()) < 3 * (FIRST_FRAMES + LAST_FRAMES)
    assert text.splitlines()[-1].startswith("RecursionError: maximum recursion depth")


def test_a_chain_without_end_and_one_that_is_a_ring_are_short() -> None:
    def ring() -> None:
        first, second = ValueError("a"), KeyError("b")
        first.__cause__, second.__cause__ = second, first
        raise first

    def chain() -> None:
        error: BaseException = ValueError("start")
        for number in range(1000):
            error, link = OSError(str(number)), error
            error.__cause__ = link
        raise error

    assert traceback_text(caught(ring)).count("ValueError") == 1
    assert traceback_text(caught(chain)).count("OSError") == tracebacks.MOST_LINKS + 1


def test_without_texts_there_are_types_and_places_only() -> None:
    """A line of source may have the text as a literal, a note may have it, and so may what led to it."""

    def chained() -> None:
        try:
            fails()
        except ValueError as error:
            error.add_note(SECRET)
            group = ExceptionGroup(SECRET, [error])
            group.add_note(SECRET)
            raise group from OSError("the-secret")

    text = traceback_text(caught(chained), whole=False)
    assert SECRET not in text.lower()
    assert "in fails" in text
    assert "\nOSError" in "\n" + text
    assert "add_note" not in text


def test_nothing_of_the_users_but_str_is_run() -> None:
    """Between the end of a task and its verdict: a class may make anything of its attributes."""

    class Wild(Exception):
        def __str__(self) -> str:
            raise SystemExit(SECRET)

        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(SECRET)

        @property
        def __class__(self) -> Any:  # type: ignore[override]
            raise RuntimeError(SECRET)

    def raises() -> None:
        raise Wild

    text = traceback_text(caught(raises))
    assert text.splitlines()[-1].endswith("Wild")


def test_what_taskflow_raises_in_a_task_ends_at_the_tasks_own_line() -> None:
    """`self.retry(...)`, or a cancel: where taskflow makes the exception helps nobody."""
    app = TaskFlow("shop", eager=True)

    @app.task(bind=True, max_retries=1, retention=60)
    def fetch(self: CurrentTask) -> None:
        if self.retried == 0:
            self.retry(exc=OSError("no answer"))

    (attempt,) = fetch.delay().info().attempts
    assert attempt.traceback.splitlines()[-2].strip() == 'self.retry(exc=OSError("no answer"))'
    assert "taskflow/tasks" not in attempt.traceback


def test_a_result_that_cannot_be_kept_has_no_traceback() -> None:
    """The function has returned: all that there would be is taskflow's own."""
    app = TaskFlow("shop", eager=True)

    @app.task(retention=60)
    def opens() -> object:
        return object()

    (attempt,) = opens.delay().info().attempts
    assert (attempt.kind, attempt.traceback) == ("ResultNotSerializable", "")


def test_it_starts_at_the_tasks_function() -> None:
    app = TaskFlow("shop", eager=True)

    @app.task(max_retries=0, retention=60)
    def charge(amount: int) -> None:
        fails()

    (attempt,) = charge.delay(1).info().attempts
    lines = attempt.traceback.splitlines()
    assert lines[1].endswith("in test_it_starts_at_the_tasks_function.<locals>.charge")
    assert (attempt.kind, attempt.module, attempt.text) == ("ValueError", "builtins", SECRET)
    assert "taskflow/tasks" not in attempt.traceback


@pytest.mark.parametrize("error_text", [True, False])
def test_an_app_that_keeps_no_texts_keeps_none_in_attempts(error_text: bool) -> None:
    app = TaskFlow("shop", eager=True, error_text=error_text)

    @app.task(max_retries=0, retention=60)
    def charge() -> None:
        fails()

    (attempt,) = charge.delay().info().attempts
    assert (SECRET in attempt.text) is error_text
    assert (SECRET in attempt.traceback) is error_text
    assert "in fails" in attempt.traceback
    assert attempt.kind == "ValueError"
