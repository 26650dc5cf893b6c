"""What programs show of a task, and how they read a length of time."""

from __future__ import annotations

import pytest

from taskflow.errors import InvalidOption
from taskflow.inspector import (
    TaskInfo,
    arguments_text,
    error_text,
    headers_text,
    parse_age,
    printable,
    result_text,
)
from taskflow.message.task_message import TaskMessage
from taskflow.states import State


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("45s", 45), (" 1D12h", 129_600), ("2w", 1_209_600), ("1.5m", 90)]
)
def test_an_age_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1h 5", "-1", "1y"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="45s, 30m, 2h"):
        parse_age(text)


def task(payload: bytes = b"{}", result: bytes | None = None, **of_message: str) -> TaskInfo:
    message = TaskMessage(type="t", payload=payload, id="i", queue="q", headers=of_message)
    return TaskInfo("i", "q", State.ARCHIVED, message=message, result=result, error="lost")


def test_a_task_is_text_and_bytes_are_counted() -> None:
    found = task(b'{"to":"ada"}', b"\xff\xfe", b="2", a="1")
    assert (arguments_text(found), headers_text(found)) == ('{"to":"ada"}', "a=1, b=2")
    assert (result_text(found), result_text(task())) == ("(2 bytes that are no text)", "")
    assert error_text(found) == "lost"


def test_foreign_text_is_made_fit_to_be_shown() -> None:
    assert printable("a\u202e\x00\udc80b") == "a\\u202e\\x00\\udc80b"
