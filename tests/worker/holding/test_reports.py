"""How a worker writes what its tasks say: together, in order, and never instead of a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.command import Command
from taskflow.broker.commands.dequeue import Taken
from taskflow.connection.aio import AsyncDriver
from taskflow.errors import BrokerUnavailable
from taskflow.message.outcome import Outcome
from taskflow.message.report import Chunk, Report
from taskflow.states import Verb
from taskflow.worker.holding.held_tasks import Held
from taskflow.worker.holding.reports import BATCH, ReportWriter, merged


class Recorder(AsyncBroker):
    """Answers as it is told; the server itself is in tests/commands/test_report.py."""

    def __init__(self) -> None:
        super().__init__(AsyncDriver("redis://127.0.0.1:1"))
        self.calls: list[Command[Any]] = []
        self.answers: list[Any] = []

    async def run_many(self, commands: Any, timeout: float = 0.0, meanwhile: Any = None) -> list[Any]:
        self.calls += commands
        return [self.answers.pop(0) if self.answers else [] for _ in commands]


def held(task_id: str, queue: str = "q") -> Held:
    return Held(queue, Taken(task_id, b"", "token"))


def ids(call: Command[Any]) -> list[Any]:
    return list(call.args[1::3])


def run(test: Callable[[Recorder, ReportWriter], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        broker = Recorder()
        await test(broker, ReportWriter(broker))

    asyncio.run(main())


def test_all_tasks_of_a_queue_that_have_said_something_are_in_one_call() -> None:
    async def test(broker: Recorder, writer: ReportWriter) -> None:
        writer.add([(held(f"a{number}"), Report(number, 1)) for number in range(BATCH + 1)])
        writer.add([(held("b", "other"), Report(1, 1))])
        await writer.tick()

        assert sorted(len(ids(call)) for call in broker.calls) == [1, 1, BATCH]
        assert not writer.unwritten

    run(test)


def test_what_comes_while_a_call_is_under_way_waits_and_is_merged() -> None:
    async def test(broker: Recorder, writer: ReportWriter) -> None:
        one = held("a")
        broker.answers = [BrokerUnavailable("away")]
        writer.add([(one, Report(1, 1, "p1", (Chunk(1, "c1"),)))])
        try:
            await writer.tick()
        except BrokerUnavailable:
            pass
        else:
            raise AssertionError("it is the broker's trouble, and the service says so")
        writer.add([(one, Report(1, 2, "p2", (Chunk(1, "c2"),)))])
        writer.add([(one, Report(1, 3, "", (Chunk(1, "c3"),)))])
        await writer.tick()
        await writer.tick()

        # The first may have been written: it is sent again as it is, since the script knows it by its number.
        first, again, second = (call.args[3] for call in broker.calls)
        assert first == again
        assert b"c2" in second
        assert b"c3" in second
        assert b"p2" in second
        assert not writer.unwritten

    run(test)


def test_an_outcome_has_all_that_is_not_written_for_certain() -> None:
    """The outcome may overtake a call that is under way, which is refused then: the lines in it were lost."""

    async def test(broker: Recorder, writer: ReportWriter) -> None:
        one, other = held("a"), held("b")
        broker.answers = [BrokerUnavailable("no answer")]
        writer.add([(one, Report(1, 1))])
        try:
            await writer.tick()
        except BrokerUnavailable:
            writer.add([(one, Report(1, 2))])
        last = Outcome(1, Verb.DONE, said=(Report(1, 3),))
        (_, completed), (_, plain) = writer.complete([(one, last), (other, Outcome(2, Verb.DONE))])

        assert [report.seq for report in completed.said] == [1, 2, 3]
        assert plain.said == ()
        assert not writer.unwritten

    run(test)


def test_a_task_that_somebody_else_has_is_forgotten() -> None:
    async def test(broker: Recorder, writer: ReportWriter) -> None:
        lost, refused = held("a"), held("b")
        lost.lost = True
        broker.answers = [["b"]]
        writer.add([(lost, Report(1, 1)), (refused, Report(2, 1))])
        await writer.tick()

        assert [ids(call) for call in broker.calls] == [["b"]]
        assert not writer.unwritten

    run(test)


def test_merging_keeps_the_latest_lines_and_no_more_than_are_kept_anyway() -> None:
    found = Report(1, 1, "p1", (Chunk(1, "first"),))
    for seq in range(2, 40):
        found = merged(found, Report(1, seq, "", (Chunk(1, f"{seq}" + "x" * 8000),)))

    assert found.progress == "p1"
    assert found.seq == 39
    assert found.chunks[-1].text.startswith("39")
    assert sum(len(chunk.text) for chunk in found.chunks) <= 64 << 10
