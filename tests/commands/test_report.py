"""What running tasks say of themselves, as it is written and read: on one server and on a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from taskflow.broker.commands.dequeue import Taken
from taskflow.broker.commands.finish import finish
from taskflow.broker.commands.maintenance import recover
from taskflow.broker.commands.report import Reported, read_chunks, read_reported, report
from taskflow.broker.words import Written
from taskflow.message.report import MOST_LINE_BYTES, MOST_LINES, Chunk, Report
from taskflow.states import State, Verb
from tests.commands.test_transitions import Queue
from tests.taking import ended

Run = Callable[[Any], Any]


@pytest.fixture
def q(run: Run, queue: str) -> Queue:
    return Queue(run, queue)


def say(q: Queue, taken: Taken, *reports: Report) -> Any:
    return q.run(report(q.name, [(taken, reports)]))


def stored(q: Queue, task_id: str = "a") -> Reported:
    return q.run(read_reported(q.name, task_id))  # type: ignore[no-any-return]


def chunks(q: Queue, task_id: str = "a") -> list[str]:
    found = stored(q, task_id)
    return q.run(read_chunks(q.name, task_id, found.first, found.after))  # type: ignore[no-any-return]


def lines(count: int, text: str = "x") -> tuple[Chunk, ...]:
    return (Chunk(count, text),)


def test_a_report_is_written_for_whom_the_worker_holds_and_for_nobody_else(q: Queue) -> None:
    """A worker that stood still for longer than its lease goes on reporting, while another runs the task: what it says is not for
    that one's screen.
    """
    q.add("a", "b")
    first, other = sorted(q.take(token="zombie"), key=lambda one: one.id)
    assert say(q, first, Report(1, 1, "early", lines(1, "one"))) == []
    q.call("ZADD", q.keys.lease, 1.5, "a")
    assert q.run(recover(q.name)) == ["a"]
    assert say(q, first, Report(1, 2, "while it waits")) == ["a"]
    (again,) = q.take(token="living")
    assert say(q, again, Report(1, 1, "later", lines(1, "two"))) == []
    refused = q.run(
        report(q.name, [(first, [Report(1, 3, "zombie", lines(1, "no"))]), (other, [Report(2, 1, "yes")])])
    )

    assert refused == ["a"]
    assert stored(q).progress == "later"
    assert stored(q).by == "living"
    assert chunks(q) == ["one", "two"]
    assert stored(q, "b").progress == "yes"


def test_a_report_that_is_sent_again_is_written_once(q: Queue) -> None:
    """An answer is lost when a connection breaks, and lines would stand there twice."""
    q.add("a")
    (taken,) = q.take()
    once = Report(1, 1, "p1", lines(2, "one"))
    say(q, taken, once)
    say(q, taken, once)
    say(q, taken, once, Report(1, 2, "", lines(1, "two")))

    assert chunks(q) == ["one", "two"]
    assert stored(q).progress == "p1"


def test_a_heartbeat_is_the_time_of_the_last_report(q: Queue) -> None:
    q.add("a")
    (taken,) = q.take()
    assert stored(q).at == 0
    say(q, taken, Report(1, 1))

    assert abs(stored(q).at - time.time()) < 60
    assert stored(q).progress == ""


def test_lines_are_bounded_in_number_and_bytes_and_the_latest_stay(q: Queue) -> None:
    q.add("a", "b")
    many, large = sorted(q.take(), key=lambda one: one.id)
    for number in range(1, 16):
        say(q, many, Report(1, number, "", lines(50, f"chunk {number}")))
        say(q, large, Report(2, number, "", lines(1, "y" * 8000)))

    assert chunks(q) == [f"chunk {number}" for number in range(6, 16)]
    assert 50 * len(chunks(q)) == MOST_LINES
    assert MOST_LINE_BYTES - 8100 < len("".join(chunks(q, "b"))) <= MOST_LINE_BYTES
    assert {name for name in q.hash("a") if name.startswith(b"lines:")} == {
        b"lines:%d" % number for number in range(6, 16)
    }


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        (Verb.COMPLETE, State.COMPLETED),
        (Verb.RETRY, State.RETRY),
        (Verb.ARCHIVE, State.ARCHIVED),
        (Verb.REQUEUE_CRASHED, State.PENDING),
    ],
)
def test_the_last_report_is_written_in_the_step_that_ends_the_attempt(
    q: Queue, verb: Verb, state: State
) -> None:
    """By a call of its own it came too late, or for another attempt."""
    q.add("a")
    (taken,) = q.take()
    first = Report(1, 1, "p1", lines(1, "one"))
    say(q, taken, first)
    assert (
        q.finish(verb, taken, delay=60.0, said=(first, Report(1, 2, "p2", lines(1, "two"))))
        is Written.WRITTEN
    )

    assert stored(q).state == state
    assert stored(q).progress == "p2"
    assert chunks(q) == ["one", "two"]
    assert say(q, taken, Report(1, 3, "too late")) == ["a"]


def test_of_a_task_that_is_not_kept_nothing_is_left(q: Queue) -> None:
    q.add("a", "b", "c")
    first, second, third = sorted(q.take(), key=lambda one: one.id)
    say(q, first, Report(1, 1, "p1", lines(1, "one")))
    items = [
        ended(first, Verb.DONE, said=(Report(1, 2, "p2"),)),
        ended(second, Verb.DONE),
        ended(third, Verb.DONE, said=(Report(1, 1),)),
    ]
    written = q.run(finish(q.name, items, time.time()))

    assert written == [Written.WRITTEN] * 3
    assert [q.hash(one) for one in "abc"] == [{}, {}, {}]
    assert q.run(finish(q.name, items, time.time()).again()) == [Written.ALREADY_WRITTEN] * 3


def test_the_words_of_an_outcome_that_does_not_count_are_not_written(q: Queue) -> None:
    q.add("a")
    (zombie,) = q.take(token="zombie")
    q.call("ZADD", q.keys.lease, 1.5, "a")
    q.run(recover(q.name))
    q.take(token="living")

    assert q.finish(Verb.COMPLETE, zombie, delay=60.0, said=(Report(1, 9, "zombie"),)) is Written.REFUSED
    assert stored(q).progress == ""


@pytest.mark.broken_keys
@pytest.mark.parametrize(
    "noted", ["", "x", "1 t 1 1 1", "x t 1 1 2 1 1", "1.5 t 1 1 9999999 1 1", "1.5 t 1 0 2 1 1"]
)
def test_what_others_have_written_there_is_as_if_there_were_nothing(q: Queue, noted: str) -> None:
    q.add("a")
    (taken,) = q.take()
    q.call("HSET", q.keys.task("a"), "reported", noted, "progress", b"\xff")
    assert stored(q).at == 0
    assert stored(q).after == 1
    assert say(q, taken, Report(1, 1, "p1")) == []


def test_a_chunk_that_is_gone_is_left_out(q: Queue) -> None:
    q.add("a")
    (taken,) = q.take()
    say(q, taken, Report(1, 1, "", lines(1, "one")))
    found: Sequence[str] = q.run(read_chunks(q.name, "a", 1, 4))

    assert found == ["one"]
