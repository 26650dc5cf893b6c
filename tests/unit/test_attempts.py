"""Attempts that failed, as lines of JSON."""

from __future__ import annotations

import json
import time

import pytest

from taskflow.attempts import MOST_BYTES, attempt_line, read_attempts, reason_of, shorten


def line(**facts: object) -> bytes:
    given = {
        "at": 5.0,
        "seconds": 0.5,
        "worker": "host:1:x",
        "type_": "Outer.Boom",
        "module": "shop",
        "text": "no luck",
    }
    return "".join(attempt_line(**(given | {"traceback": "in charge"} | facts))).encode()  # type: ignore[arg-type]


def test_an_attempt_is_read_as_it_was_written_and_any_program_reads_it() -> None:
    (one,) = read_attempts(line() + b"\n")
    assert (one.kind, one.type, one.module, one.text) == ("Boom", "Outer.Boom", "shop", "no luck")
    assert (one.at.timestamp() if one.at else 0, one.seconds, one.worker) == (5.0, 0.5, "host:1:x")
    assert json.loads(line())["traceback"] == "in charge"


@pytest.mark.parametrize("said", ["x" * 100_000, "\0" * 100_000, "é\n" * 50_000, "🦄" * 9000])
def test_an_attempt_is_never_larger_than_8_kb_whatever_it_is_made_of(said: str) -> None:
    stored = line(text=said, traceback=said, worker=said, type_=said, module=said)
    assert len(stored) < MOST_BYTES
    (one,) = read_attempts(stored)
    assert one.text


def test_the_start_and_the_end_of_a_long_traceback_stay() -> None:
    """The task's function is at the start, and what went wrong at the end."""
    (one,) = read_attempts(line(traceback="\n".join(f"frame {n}" for n in range(5000))))
    assert one.traceback.startswith("frame 0\n")
    assert one.traceback.endswith("\nframe 4999")
    assert "left out" in one.traceback
    assert len(shorten("a" * 500, 100)) <= 100


@pytest.mark.parametrize(
    "stored",
    [
        None,
        b"",
        b"\n\n",
        b"{}[",
        b"\xff\xfe\n",
        b'{"at": "yesterday"}\n',
        b'{"at": 1e300, "seconds": null}',
        b"[" * 9999,
    ],
)
def test_what_somebody_else_has_written_there_breaks_nothing(stored: bytes | None) -> None:
    for one in read_attempts(stored):
        assert one.kind == ""
    (last,) = read_attempts((stored or b"") + b"\n" + line() + b"\n")[-1:]
    assert last.kind == "Boom"


def test_an_attempt_says_that_it_failed_in_the_same_place_as_the_next() -> None:
    stored = b'{"at":1.0,"type":"A","as_next":true}\n{"at":2.0,"type":"A","as_next":true}\n' + line() + b"\n"
    assert [one.traceback for one in read_attempts(stored)] == ["in charge"] * 3
    assert [one.traceback for one in read_attempts(b'{"type":"A"}\n' + line())] == ["", "in charge"]


def test_an_attempt_is_not_the_reason_of_a_later_failure_of_which_go_keeps_none() -> None:
    now = int(time.time())
    attempts = read_attempts(line(at=now - 100.5, seconds=0.25))
    assert reason_of(attempts, now - 101, "no luck") is not None
    assert reason_of(attempts, now, "no luck") is None
    assert reason_of((), now, "no luck") is None
    assert reason_of(attempts, now - 101, "cancelled") is None, "an order has ended it since"
    assert reason_of(read_attempts(line(at=1.0, text="x" * 5000)), 0, "x" * 4000) is not None
    assert reason_of(read_attempts(line(at=1.0, text="")), 0, "Boom") is not None
