"""Attempts that failed are kept with their task, in the step that writes the verdict; failed tasks as long as they say."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from taskflow.attempts import MOST_ATTEMPTS, FailedAttempt, read_attempts
from taskflow.broker.commands.admin import archive_tasks, run_tasks
from taskflow.broker.commands.cancel import cancel
from taskflow.broker.commands.finish import finish
from taskflow.broker.commands.inspect import list_tasks, read_row
from taskflow.broker.commands.maintenance import expire, recover
from taskflow.broker.commands.read import read_task
from taskflow.broker.words import Written
from taskflow.inspector.tasks import task_of
from taskflow.message import outcome
from taskflow.message.kept import ARCHIVE_SECONDS, FAILURE_RETENTION_HEADER
from taskflow.message.outcome import AttemptRecord, Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.states import State, Verb
from taskflow.tasks.failure import failure_of
from tests.commands.test_transitions import Queue, Run
from tests.properties.mutants import changed
from tests.taking import ended

WORKER = "host:1:x"


class Failing(Queue):
    """A queue whose tasks fail."""

    def attempts(self, task_id: str = "a") -> tuple[FailedAttempt, ...]:
        return read_attempts(self.call("HGET", self.keys.task(task_id), "attempts"))

    def fail(
        self, *, place: str = "in charge", text: str = "no luck", verb: Verb = Verb.REQUEUE_CRASHED
    ) -> Written:
        """Take the task, and let the attempt fail; it waits again, unless the verb says otherwise."""
        (taken,) = self.take(token=uuid4().hex)  # a token is spent once
        attempt = AttemptRecord(time.time(), 0.5, "Boom", "shop", text, place)
        (written,) = self.run(finish(self.name, [ended(taken, verb, attempt=attempt)], time.time(), WORKER))
        return written

    def archive(self, task_id: str, **headers: str) -> None:
        self.add(task_id)
        (taken,) = self.take()
        message = TaskMessage.decode(taken.message)
        message = TaskMessage(**{**vars_of(message), "headers": headers})
        now = time.time()
        verdict = outcome.archived(1, message, "no luck", "{}", now, outcome.not_run("Boom", "no luck", now))
        self.run(finish(self.name, [(taken, verdict)], now, WORKER))

    def listed(self) -> list[str]:
        return [one.decode() for one in self.call("ZRANGE", self.keys.archived, 0, -1)]


def vars_of(message: TaskMessage) -> dict[str, object]:
    return {name: getattr(message, name) for name in TaskMessage.__dataclass_fields__}


@pytest.fixture
def q(run: Run, queue: str) -> Failing:
    return Failing(run, queue)


def test_each_attempt_that_failed_is_kept_with_what_is_known_of_it(q: Failing) -> None:
    q.add("a")
    q.fail(text="first", place="in a")
    q.fail(text="second", place="in b", verb=Verb.ARCHIVE)
    first, second = q.attempts()
    assert (first.text, first.traceback, first.kind, first.module) == ("first", "in a", "Boom", "shop")
    assert (second.text, second.traceback, second.worker, second.seconds) == ("second", "in b", WORKER, 0.5)
    assert second.at is not None
    assert abs(second.at.timestamp() - time.time()) < 60


def test_a_task_that_succeeds_at_once_has_no_such_field(q: Failing) -> None:
    q.add("a")
    (taken,) = q.take()
    kept = ended(taken, Verb.COMPLETE, message=taken.message, delay=60.0, result=b"1")
    q.run(finish(q.name, [kept], time.time(), WORKER))
    assert q.call("HEXISTS", q.keys.task("a"), "attempts") == 0


def test_the_last_ten_are_kept(q: Failing) -> None:
    """A task that is retried for days must not fill the server."""
    q.add("a")
    for number in range(MOST_ATTEMPTS + 5):
        q.fail(text=str(number), place=f"in {number}")
    assert [one.text for one in q.attempts()] == [str(number) for number in range(5, MOST_ATTEMPTS + 5)]
    assert q.attempts()[0].traceback == "in 5"


def test_a_traceback_that_is_that_of_the_attempt_before_is_stored_once(q: Failing) -> None:
    """Most attempts at a task fail in the same place. It is the last one that has it: the first ones are dropped in time."""
    q.add("a")
    q.fail(place="elsewhere")
    for number in range(MOST_ATTEMPTS + 5):
        q.fail(text=str(number), place="x" * 3000)
    assert [one.traceback for one in q.attempts()] == ["x" * 3000] * MOST_ATTEMPTS
    assert q.call("HSTRLEN", q.keys.task("a"), "attempts") < 6000


def test_the_tests_see_a_script_that_keeps_all_attempts_or_all_tracebacks(q: Failing) -> None:
    with changed("finish", r"if too_many > 0 then", "if false then"), pytest.raises(AssertionError):
        test_the_last_ten_are_kept(q)
    q.call("DEL", q.keys.task("a"), q.keys.pending)
    with changed("finish", r"if rest ~= '}' and", "if false and"), pytest.raises(AssertionError):
        test_a_traceback_that_is_that_of_the_attempt_before_is_stored_once(q)


def test_a_verdict_that_is_sent_again_keeps_its_attempt_once_and_a_late_one_keeps_none(q: Failing) -> None:
    """It is written in the step that writes the verdict, behind the same fence."""
    q.add("a")
    (taken,) = q.take()
    item = ended(
        taken, Verb.RETRY, message=taken.message, delay=60.0, attempt=AttemptRecord(1.0, 0.5, "Boom")
    )
    command = finish(q.name, [item], time.time(), WORKER)
    assert q.run(command) == [Written.WRITTEN]
    assert q.run(command.again()) == [Written.ALREADY_WRITTEN]
    assert len(q.attempts()) == 1
    late = ended(taken, Verb.ARCHIVE, attempt=AttemptRecord(2.0, 0.5, "Late"))
    assert q.run(finish(q.name, [late], time.time(), WORKER)) == [Written.REFUSED]
    assert [one.kind for one in q.attempts()] == ["Boom"]


def test_a_lease_that_ended_is_among_the_attempts_with_its_worker(q: Failing) -> None:
    """Nobody else will ever say that this worker had the task."""
    q.add("a")
    q.take()
    q.call("ZADD", q.keys.lease, time.time() - 100.5, "a")
    assert q.run(recover(q.name)) == ["a"]
    (one,) = q.attempts()
    assert (one.kind, one.worker, one.seconds) == ("LeaseExpired", "me", None)
    assert one.at is not None
    assert abs(one.at.timestamp() - time.time() + 100) < 60


def test_an_operator_who_lets_it_run_again_keeps_its_history(q: Failing) -> None:
    q.add("a")
    q.fail(verb=Verb.ARCHIVE)
    q.run(run_tasks(q.name, ["a"]))
    q.fail(text="again")
    q.run(archive_tasks(q.name, ["a"]))
    assert [one.text for one in q.attempts()] == ["no luck", "again"]


def test_what_somebody_else_has_put_there_is_replaced_when_it_is_too_long(q: Failing) -> None:
    q.add("a")
    q.call("HSET", q.keys.task("a"), "attempts", "x" * 200_000)
    q.fail()
    assert [one.text for one in q.attempts()] == ["no luck"]


# --- how long failed tasks are kept -----------------------------------------------------------------------------


def test_a_failed_task_is_kept_as_long_as_it_says_and_others_as_asynq_keeps_them(q: Failing) -> None:
    q.archive("usual")
    q.archive("short", **{FAILURE_RETENTION_HEADER: "60"})
    q.archive("long", **{FAILURE_RETENTION_HEADER: str(365 * 86400)})
    scores = {one: float(q.call("ZSCORE", q.keys.archived, one)) for one in ("usual", "short", "long")}
    left = {one: score + ARCHIVE_SECONDS - time.time() for one, score in scores.items()}
    assert left == {
        "usual": pytest.approx(ARCHIVE_SECONDS, abs=30),
        "short": pytest.approx(60, abs=30),
        "long": pytest.approx(365 * 86400, abs=30),
    }


def test_the_janitor_deletes_what_has_been_kept_for_its_time(q: Failing) -> None:
    """Asynq's programs, and ours until now, look only when the next task is archived: for this one that may be never."""
    q.archive("usual")
    q.archive("short", **{FAILURE_RETENTION_HEADER: "60"})
    assert q.run(expire(q.name)) == 0
    q.call("ZADD", q.keys.archived, time.time() - ARCHIVE_SECONDS - 1, "short")  # 61 s later
    assert q.run(expire(q.name)) == 1
    assert q.listed() == ["usual"]
    assert q.call("EXISTS", q.keys.task("short")) == 0


def test_the_next_failure_deletes_it_too_as_it_does_in_go(q: Failing) -> None:
    q.archive("short", **{FAILURE_RETENTION_HEADER: "60"})
    q.call("ZADD", q.keys.archived, time.time() - ARCHIVE_SECONDS - 1, "short")
    q.archive("usual")
    assert q.listed() == ["usual"]


def test_a_failure_that_is_not_kept_leaves_nothing_and_is_counted(q: Failing) -> None:
    q.archive("a", **{FAILURE_RETENTION_HEADER: "0"})
    assert q.listed() == []
    assert q.call("EXISTS", q.keys.task("a")) == 0
    assert q.call("GET", q.keys.failed) == b"1"
    assert q.call("ZCARD", q.keys.lease) == 0


def test_a_failure_that_is_not_kept_is_found_written_when_it_is_sent_again(q: Failing) -> None:
    q.add("a")
    (taken,) = q.take()
    verdict = Outcome(1, Verb.ARCHIVE, message=taken.message, failure_retention=0)
    command = finish(q.name, [(taken, verdict)], time.time(), WORKER)
    assert q.run(command) == [Written.WRITTEN]
    assert q.run(command.again()) == [Written.ALREADY_WRITTEN]


@pytest.mark.parametrize("header", ["", "soon", "-1", "nan", "inf", "1e99"])
def test_a_header_that_says_nothing_sensible_is_as_none(q: Failing, header: str) -> None:
    """Whoever writes messages may write anything there: it must cost no verdict."""
    q.archive("a", **{FAILURE_RETENTION_HEADER: header})
    assert float(q.call("ZSCORE", q.keys.archived, "a")) == pytest.approx(time.time(), abs=30)


def test_a_listing_has_the_last_attempt_without_its_traceback(q: Failing) -> None:
    """A page of two hundred tasks with all of theirs would be megabytes, and looking for the last one must not take longer with
    their length: a pattern that was tried from each character on took the server 20 ms for a page.
    """
    q.add("a")
    for number in range(MOST_ATTEMPTS):
        q.fail(text=str(number), place=f"{number}" * 4000)
    q.fail(text="the last", place="y" * 4000, verb=Verb.ARCHIVE)
    (row,) = q.run(list_tasks(q.name, State.ARCHIVED, 0, 10)).rows
    (one,) = row.attempts
    assert (one.text, one.kind, one.traceback) == ("the last", "Boom", "")
    (row,) = q.run(read_row(q.name, "a")).rows
    assert [len(one.traceback) for one in row.attempts] == [4000] * MOST_ATTEMPTS
    q.call("HSET", q.keys.task("a"), "attempts", "{}")
    (row,) = q.run(list_tasks(q.name, State.ARCHIVED, 0, 10)).rows
    assert [one.kind for one in row.attempts] == [""]


def test_a_task_that_was_cancelled_after_a_failure_failed_with_the_cancel(q: Failing) -> None:
    """Its last attempt failed with something else, and that is not why it ended."""
    q.add("a")
    (taken,) = q.take()
    now = time.time()
    message = TaskMessage.decode(taken.message)
    attempt = AttemptRecord(now, 0.5, "Boom", "shop", "no luck", "in charge")
    verdict = outcome.retried(1, message, "no luck", outcome.error_facts("Boom"), 60.0, now, attempt)
    q.run(finish(q.name, [(taken, verdict)], now, WORKER))
    snapshot = q.run(read_task(q.name, "a"))
    assert snapshot.reason is not None
    assert failure_of("a", snapshot).kind == "Boom"
    q.run(cancel(q.name, ["a"]))
    snapshot = q.run(read_task(q.name, "a"))
    failure = failure_of("a", snapshot)
    assert (failure.kind, failure.text, failure.traceback) == ("TaskCancelled", "cancelled", "")
    assert [one.kind for one in failure.attempts] == ["Boom"]
    (row,) = q.run(list_tasks(q.name, State.ARCHIVED, 0, 1)).rows
    assert task_of(q.name, row, State.ARCHIVED, int(now)).error_type == "TaskCancelled"
