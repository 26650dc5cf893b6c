"""Running tasks say how far they are, and lines: from the task to whoever watches, with real workers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from taskflow import LogLines, Progress, State, StateChanged, TaskFlow, Verdict
from taskflow.broker.sync import Broker
from taskflow.errors import ResultMissing, ResultTimeout
from taskflow.inspector import Inspector
from taskflow.worker.timings import Timings
from tests.lifecycle import talking_app as module
from tests.lifecycle.conftest import Ledger, tasks_of
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

POOLS = [
    pytest.param({"concurrency": 4}, id="threads"),
    pytest.param({"concurrency": 2, "pool": "processes"}, id="processes"),
    pytest.param({"concurrency": 1, "pool": "solo"}, id="solo"),
]


@pytest.fixture
def tasks(valkey: Server, queue: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with tasks_of(module, valkey, queue, monkeypatch) as found:
        yield found


@pytest.fixture
def worker(valkey: Server, queue: str, ledger: Ledger) -> Callable[..., WorkerProcess]:
    def start(**options: Any) -> WorkerProcess:
        options.setdefault("concurrency", 4)
        return WorkerProcess(
            "tests.lifecycle.talking_app", broker=valkey.url_as("worker"), queues={queue: 1}, **options
        )

    return start


def texts(events: list[Any]) -> list[str]:
    return [line.text for event in events if isinstance(event, LogLines) for line in event.lines]


@pytest.mark.parametrize("options", POOLS)
def test_whoever_watches_sees_all_of_it_in_order_and_at_last_the_verdict(
    tasks: Any, worker: Any, ledger: Ledger, options: dict[str, Any]
) -> None:
    with worker(**options):
        plain, coroutine = tasks.talk.delay(20, 0.6, held="plain"), tasks.atalk.delay(20, 0.6)
        for result in (plain, coroutine):
            events = []
            for event in result.watch(20):
                events.append(event)
                if isinstance(event, Progress):
                    ledger.release("plain")
            done = [event.done for event in events if isinstance(event, Progress)]

            assert texts(events) == [f"line {number}" for number in range(1, 21)]
            assert done == sorted(done)
            assert done[-1] == 20
            assert events[-1] == Verdict(State.COMPLETED)
            assert [event.state for event in events if isinstance(event, StateChanged)][-1] is State.COMPLETED
            # It was told while it ran: it did not end before.
            assert result is coroutine or len(done) > 1


def test_in_a_coroutine_it_is_an_asynchronous_iterator(tasks: Any, worker: Any) -> None:
    async def main() -> list[Any]:
        result = await tasks.talk.adelay(10, 1.0)
        events = [event async for event in result.watch(20)]
        await tasks.app.aclose()
        return events

    with worker():
        events = asyncio.run(main())

    assert texts(events) == [f"line {number}" for number in range(1, 11)]
    assert events[-1] == Verdict(State.COMPLETED)


def test_of_a_task_that_is_not_kept_its_last_words_are_heard_all_the_same(tasks: Any, worker: Any) -> None:
    """It is gone in the step that ends it, and the last half second of what it said with it."""
    with worker():
        events = list(tasks.talk.options(retention=0).delay(10, 1.0).watch(20))

    assert texts(events) == [f"line {number}" for number in range(1, 11)]
    assert [event for event in events if isinstance(event, Progress)][-1].done == 10
    assert events[-1] == Verdict(State.COMPLETED)


def test_what_was_said_is_kept_with_the_task_and_goes_with_it(
    tasks: Any, worker: Any, broker: Broker, queue: str, raw: redis.Redis
) -> None:
    with worker():
        kept = tasks.talk.delay(3)
        kept.get(25)
        info = kept.info()
        found = Inspector(broker).task(queue, kept.id)

    assert info.progress.done == 3
    assert [line.text for line in info.lines] == ["line 1", "line 2", "line 3"]
    assert abs(info.reported_at.timestamp() - time.time()) < 60
    assert found.said.progress == info.progress
    assert found.said.lines == info.lines
    assert list(tasks.app.result(kept.id, queue=queue).watch(5))[-1] == Verdict(State.COMPLETED)
    Inspector(broker).delete(queue, kept.id)
    assert not raw.keys(f"*{kept.id}*")
    with pytest.raises(ResultMissing):
        list(kept.watch())


def test_a_hundred_thousand_reports_cost_the_server_no_more_commands_than_a_hundred(
    tasks: Any, worker: Any, raw: redis.Redis
) -> None:
    """They are merged in the child, before the pipe. Without that each was a call of a script."""

    def calls(times: int) -> int:
        before = reports(raw)
        began = time.monotonic()
        result = tasks.talk.delay(times, 2.0)
        assert result.get(25) == ""
        assert result.info().progress.done == times
        count = reports(raw) - before
        # Two a second while it runs, and its first and its last; 5 of 6 where it takes no longer than it means to.
        assert count <= 2 + 2 * (time.monotonic() - began)
        return count

    with worker(concurrency=1):
        tasks.talk.delay(1).get(25)
        assert calls(100) >= 2
        calls(100_000)


def reports(raw: redis.Redis) -> int:
    """How many calls have written reports: nothing else tells those who watch."""
    stats: Any = raw.info("commandstats")
    return int(stats.get("cmdstat_spublish", {"calls": 0})["calls"])


def test_a_task_that_says_nothing_costs_no_report(tasks: Any, worker: Any, raw: redis.Redis) -> None:
    with worker():
        result = tasks.logs_nothing.options(retention=0).delay("quiet")
        wait_until(lambda: result.state is None, description="its end")
        before = reports(raw)
        for _ in range(20):
            last = tasks.logs_nothing.options(retention=0).delay("quiet")
        wait_until(lambda: last.state is None, description="their end")

    assert reports(raw) == before


def test_threads_of_a_task_speak_for_it(tasks: Any, worker: Any) -> None:
    with worker():
        result = tasks.helpers.delay()
        result.get(25)

    assert [line.text for line in result.info().lines] == ["with the context", "with the task"]
    assert result.info().progress.fraction == 0.5


def test_a_thread_that_a_task_has_left_behind_is_not_heard_any_more(
    tasks: Any, worker: Any, raw: redis.Redis
) -> None:
    with worker(concurrency=1):
        result = tasks.leaves_a_thread.delay()
        result.get(25)
        before = result.info()
        tasks.talk.delay(5, 1.0).get(25)  # the child goes on
        after = result.info()

    assert after == before


def test_only_a_tasks_own_lines_are_kept_and_only_from_its_level_on(tasks: Any, worker: Any) -> None:
    """Several run at once in one child, and log by one logger."""
    with worker():
        names = {"a": "logs", "b": "logs", "c": "alogs", "d": "alogs"}
        results = {tag: getattr(tasks, name).delay(tag) for tag, name in names.items()}
        silent = tasks.logs_nothing.delay("e")
        for result in (*results.values(), silent):
            result.get(25)
        lines = {tag: result.info().lines for tag, result in results.items()}

    for tag in "abcd":
        assert [line.text for line in lines[tag][:20]] == [f"{tag} says {number}" for number in range(20)]
        assert {line.level for line in lines[tag][:20]} == {"INFO"}
    assert len(lines["c"]) == 20
    assert lines["a"][20].level == "ERROR"
    assert lines["a"][20].text.startswith("a failed\nTraceback")
    assert "ValueError: why" in lines["a"][20].text
    assert silent.info().lines == ()


def test_each_attempt_has_its_own_progress_and_the_lines_of_all_are_kept(tasks: Any, worker: Any) -> None:
    with worker():
        result = tasks.stumbles.delay()
        events = list(result.watch(20))

    assert [(line.attempt, line.number, line.text) for line in result.info().lines] == [
        (1, 1, "before"),
        (2, 1, "before"),
    ]
    assert [(event.attempt, event.done) for event in events if isinstance(event, Progress)] == [
        (1, 90),
        (2, 5),
    ]
    assert texts(events) == ["before", "before"]


def test_a_worker_that_stood_still_for_too_long_says_nothing_of_a_task_that_another_runs(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """Its lease has ended, and both run the task for a while: what is shown is what the one says that holds it."""
    key = f"asynq:{{{queue}}}:t:"
    with worker(concurrency=2):
        result = tasks.talk.delay(60, 3.0, held="result")
        wait_until(lambda: result.info().progress, description="the first report")
        lease_token = raw.hget(key + result.id, "receipt")
        raw.hset(key + result.id, "receipt", "somebody else's")
        before = raw.hget(key + result.id, "reported")
        # What its neighbour says later is in the same calls, or in later ones.
        neighbour = tasks.talk.delay(60, 1.8)
        wait_until(
            lambda: (told := neighbour.info().progress) and told.done > 30,
            description="two of its neighbour's",
        )
        after = raw.hget(key + result.id, "reported")
        raw.hset(key + result.id, "receipt", lease_token)
        ledger.release("result")
        result.get(20)

    assert before == after


def test_a_watch_may_end_before_its_task(tasks: Any, worker: Any, ledger: Ledger) -> None:
    with worker(concurrency=1):
        result = tasks.talk.delay(100, 0.5, held="result")
        with pytest.raises(ResultTimeout):
            list(result.watch(0.3))
        for event in result.watch(20):  # leaving it leaves nothing behind
            if isinstance(event, Progress):
                break
        ledger.release("result")
        result.get(25)


def test_a_cancel_is_seen_where_no_exception_comes(tasks: Any, worker: Any, broker: Broker) -> None:
    with worker(concurrency=1):
        result = tasks.waits_for_cancel.delay()
        wait_until(lambda: result.info().lines, description="that it runs")
        Inspector(broker).cancel(result.id)
        events = list(result.watch(20))

    assert texts(events)[-1] == "seen in a thread"
    assert events[-1].state is State.ARCHIVED


def test_a_task_in_a_partition_is_watched_by_its_queue(
    tasks: Any, worker: Any, valkey: Server, queue: str
) -> None:
    spread = TaskFlow(
        "spread", broker=valkey.url_as("producer"), queues={queue: {"partitions": 3}}, retention=60
    )
    with worker(concurrency=2, timings=Timings(partitions=0.2)):
        name = "tests.lifecycle.talking_app.talk"
        handles = [spread.send(name, queue=queue, times=5, seconds=0.3) for _ in range(4)]
        for handle in handles:
            again = spread.result(handle.id, queue=queue)
            assert texts(list(again.watch(20))) == [f"line {number}" for number in range(1, 6)]
            assert again.info().progress.done == 5
    assert {handle.queue for handle in handles} != {queue}
    spread.close()


def test_who_watches_hears_of_it_soon(tasks: Any, worker: Any) -> None:
    """By the channel, and not only when it is time for the next look."""
    with worker(concurrency=1):
        result = tasks.talk.delay(6, 4.2)
        late = [
            time.time() - event.at.timestamp() for event in result.watch(20) if isinstance(event, Progress)
        ]

    # Not of each: of two between which nobody got a processor, the later is told.
    assert min(late) < 0.5


def test_dropped_connections_cost_no_line_and_repeat_none(tasks: Any, worker: Any, raw: redis.Redis) -> None:
    with worker(concurrency=1):
        result = tasks.talk.delay(60, 3.0)
        ended = threading.Event()

        def drop() -> None:
            while not ended.wait(0.6):
                raw.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

        thread = threading.Thread(target=drop)
        thread.start()
        events = list(result.watch(20))
        ended.set()
        thread.join()

    assert texts(events) == [f"line {number}" for number in range(1, 61)]
    assert events[-1] == Verdict(State.COMPLETED)


def test_what_could_not_be_written_while_the_server_stood_still_is_written_with_the_outcome(
    own_server: Server, tasks: Any
) -> None:
    """The task ends meanwhile, and a report that comes after its outcome is refused: the lines in it were lost."""
    client = TaskFlow("talking-elsewhere", broker=own_server.url, retention=60)
    with WorkerProcess(
        "tests.lifecycle.talking_app", broker=own_server.url, queues={"q": 1}, concurrency=1
    ) as process:
        result = client.send("tests.lifecycle.talking_app.talk", queue="q", times=60, seconds=2.4)
        wait_until(lambda: result.info().progress, description="the first report")
        os.kill(own_server.process.pid, signal.SIGSTOP)
        process.wait_for_log("succeeded")
        os.kill(own_server.process.pid, signal.SIGCONT)
        result.get(20)
        info = result.info()
    client.close()

    assert [line.text for line in info.lines] == [f"line {number}" for number in range(1, 61)]
    assert info.progress is not None
    assert info.progress.done == 60
