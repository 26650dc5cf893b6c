"""What is new of a task for whoever watches it, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from taskflow import LogLines, Progress, State, StateChanged, Verdict
from taskflow.broker.commands.read import Snapshot
from taskflow.broker.commands.report import Reported
from taskflow.errors import ResultMissing
from taskflow.message.message_crypto import NO_KEYS
from taskflow.message.report import Line, encode_lines, encode_progress
from taskflow.tasks.watching import WatchEvent, Watching


def chunk(*numbers: int, run: int = 1, attempt: int = 1) -> str:
    lines: list[Line] = [(1.0, "", f"line {number}") for number in numbers]
    (found,) = encode_lines(lines, numbers[0], attempt, run, None)
    return found.text


def progress(done: int) -> str:
    return encode_progress(done, 10, "", 1.0, 1, None)


class Stored:
    """What the server would say."""

    def __init__(self) -> None:
        self.found = Reported("active", "t", "", 0.0, "")
        self.chunks: dict[int, str] = {}
        self.asked: list[range] = []

    def say(
        self, *chunks: str, done: int | None = None, state: str = "active", by: str = "t", first: int = 1
    ) -> None:
        for one in chunks:
            self.chunks[max(self.chunks, default=0) + 1] = one
        after = max(self.chunks, default=0) + 1
        token = by if state == "active" else ""
        text = self.found.progress if done is None else progress(done)
        self.found = Reported(state, token, text, self.found.at + 1, by, first, after)

    def look(self, seen: Watching) -> list[WatchEvent]:
        steps = seen.look()
        answer: Any = None
        while True:
            try:
                command = steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            words = [str(word) for word in command.words]
            if "reported" in words:
                answer = self.found
            elif "msg" in words:
                answer = Snapshot(self.found.state, None, None, "boom")
            else:
                numbers = [int(word.removeprefix("lines:")) for word in words if word.startswith("lines:")]
                self.asked.append(range(numbers[0], numbers[-1] + 1))
                answer = [self.chunks[number] for number in numbers if number in self.chunks]


def numbers(events: list[WatchEvent]) -> list[int]:
    return [line.number for event in events if isinstance(event, LogLines) for line in event.lines]


def watching() -> Watching:
    return Watching("q", "id", NO_KEYS)


def test_each_look_gives_what_is_new_and_reads_no_line_twice_over() -> None:
    stored, seen = Stored(), watching()
    stored.say(chunk(1, 2), done=2)
    first = stored.look(seen)
    assert stored.look(seen) == []
    stored.say(chunk(3), done=3)
    second = stored.look(seen)

    assert first[0] == StateChanged(State.ACTIVE, 0, "boom")
    assert numbers(first) == [1, 2]
    assert numbers(second) == [3]
    assert isinstance(second[-1], Progress)
    assert second[-1].done == 3
    assert stored.asked == [range(1, 2), range(1, 3)]


def test_a_task_that_says_no_lines_is_not_asked_for_any() -> None:
    """The server refuses a call for no fields at all: whoever watched a task with a progress and no lines got its error."""
    stored, seen = Stored(), watching()
    stored.say(done=1)
    assert isinstance(stored.look(seen)[-1], Progress)
    stored.say(done=2, state="completed")

    assert isinstance(stored.look(seen)[-1], Verdict)
    assert stored.asked == []


def test_the_verdict_is_the_last_and_comes_after_the_last_words() -> None:
    stored, seen = Stored(), watching()
    stored.look(seen)
    stored.say(chunk(1), done=10, state="archived")
    events = stored.look(seen)

    assert [type(one) for one in events] == [LogLines, Progress, StateChanged, Verdict]
    assert events[-1] == Verdict(State.ARCHIVED, "boom")
    assert seen.ended


def test_after_a_failover_lines_that_stand_where_others_stood_are_seen_once_each() -> None:
    """A replica that took over may lack the last chunk: the next one has its number then, and is no repetition."""
    stored, seen = Stored(), watching()
    stored.say(chunk(1, 2))
    stored.say(chunk(3, 4))
    before = numbers(stored.look(seen))
    del stored.chunks[2]
    stored.say(chunk(5, 6))
    after = numbers(stored.look(seen))

    assert before == [1, 2, 3, 4]
    assert after == [5, 6]


def test_who_looks_back_sees_no_line_again_and_what_was_missed() -> None:
    stored, seen = Stored(), watching()
    stored.say(chunk(1, 2))
    stored.look(seen)
    for number in (3, 5, 7):
        stored.say(chunk(number, number + 1))
    seen.look_back()

    assert numbers(stored.look(seen)) == [3, 4, 5, 6, 7, 8]


def test_lines_that_nobody_can_see_any_more_are_counted() -> None:
    stored, seen = Stored(), watching()
    stored.say(chunk(1, 2))
    stored.look(seen)
    stored.say(chunk(10, 11))
    (event,) = stored.look(seen)

    assert isinstance(event, LogLines)
    assert event.missed == 7


def test_another_attempt_begins_its_lines_anew_and_has_no_progress_of_the_one_before() -> None:
    """Also one of the same number, after the loss of a worker."""
    stored, seen = Stored(), watching()
    stored.say(chunk(1, 2), done=9)
    stored.look(seen)
    stored.found = Reported("active", "other", stored.found.progress, stored.found.at, "t", 1, 2)
    fresh = watching()
    assert not any(isinstance(one, Progress) for one in stored.look(fresh))
    stored.say(chunk(1, 2, run=2), done=1, by="other")
    events = stored.look(seen)

    assert numbers(events) == [1, 2]
    assert isinstance(events[-1], Progress)
    assert events[-1].done == 1


def test_a_task_that_nobody_knows_is_missing_and_one_that_goes_away_has_ended() -> None:
    stored, seen = Stored(), watching()
    stored.found = Reported(None)
    with pytest.raises(ResultMissing):
        stored.look(seen)
    stored.say(chunk(1))
    stored.look(seen)
    stored.found = Reported(None)

    assert stored.look(seen) == []
    assert seen.is_gone
    assert seen.gone([b"", b"no msgpack"]) == [Verdict(None)]
    assert seen.gone([]) == [Verdict(None)]
    assert Verdict(None).succeeded is None
