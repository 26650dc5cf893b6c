"""Python enqueues, with every option that it has; a Go worker runs it, and Python reads what became of it."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from taskflow import State, TaskFlow
from taskflow.errors import DuplicateTask, ResultMissing, ResultNotKept, TaskFailed
from tests.interop.golang import Event, Peer, PeerWorker
from tests.servers import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

FAST: dict[str, Any] = {"retry_delay_ms": 0, "delayed_check_ms": 100, "task_check_ms": 50}
"""Flags of a Go worker that should not make a test wait."""

LATE = 4.0
"""Seconds after its time by which a scheduled task must have started: a second, and what is the machine's."""


class Sender:
    """Enqueues the task that is for Go into one queue."""

    def __init__(self, app: TaskFlow, queue: str) -> None:
        self.app = app
        self.queue = queue

    def options(self, **options: Any) -> Any:
        return self.app.get_task("for:go").options(queue=self.queue, **options)


@pytest.fixture
def to_go(app: TaskFlow, queue: str) -> Sender:
    return Sender(app, queue)


def starts(worker: PeerWorker) -> list[Event]:
    return [event for event in worker.events if event["event"] == "start"]


class TestRun:
    def test_a_call_is_what_go_reads(self, peer: Peer, to_go: Sender) -> None:
        result = to_go.options().delay("ok", text="ünï <&>", list=[1, 2.5, None])
        with peer.work({to_go.queue: 1}, **FAST) as worker:
            end = worker.wait_for_end(result.id)
        assert json.loads(end.pop("payload")) == {"go": "ok", "text": "ünï <&>", "list": [1, 2.5, None]}
        end.pop("at")
        assert end == {
            "event": "end",
            "type": "for:go",
            "id": result.id,
            "queue": to_go.queue,
            "retried": 0,
            "max_retry": 25,
            "headers": {},
        }
        wait_until(lambda: result.state is None, description="the task is gone")
        info = peer.inspect("info", queue=to_go.queue)
        assert (info["size"], info["processed"], info["failed"]) == (0, 1, 0)

    def test_a_handler_needs_no_stub_here(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        """By its name alone, with arguments by theirs: what Go reads as its struct."""
        result = app.send("only:go", queue=queue, go="ok", from_="here")
        with peer.work({queue: 1}, **FAST) as worker:
            end = worker.wait_for_end(result.id)
        assert (end["type"], json.loads(end["payload"])) == ("only:go", {"go": "ok", "from": "here"})

    def test_no_arguments_are_an_empty_object(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        result = app.get_task("nothing").options(queue=queue).delay()
        with peer.work({queue: 1}, **FAST) as worker:
            assert worker.wait_for_end(result.id)["payload"] == "{}"

    def test_options_reach_go(self, peer: Peer, to_go: Sender) -> None:
        headers = {"trace": "<1>", "kind": "ünï"}
        to_go.options(id="my-id", max_retries=3, headers=headers, hard_timeout=50).delay()
        with peer.work({to_go.queue: 1}, **FAST) as worker:
            end = worker.wait_for_end("my-id")
        assert (end["max_retry"], end["headers"]) == (3, {**headers, "taskflow-hard-timeout": "50"})

    def test_celerys_way_and_asyncio(self, peer: Peer, to_go: Sender) -> None:
        first = to_go.options().apply_async(("ok",), {"text": "a"}, countdown=0, max_retries=1)

        async def enqueue() -> str:
            result = await to_go.options(max_retries=2).adelay("ok", text="b")
            await to_go.app.aclose()
            return str(result.id)

        second = asyncio.run(enqueue())
        with peer.work({to_go.queue: 1}, **FAST) as worker:
            assert worker.wait_for_end(first.id)["max_retry"] == 1
            assert worker.wait_for_end(second)["max_retry"] == 2

    def test_a_map_runs_each_call_once(self, peer: Peer, to_go: Sender) -> None:
        outcomes = to_go.options().map([{"number": number} for number in range(450)])  # more than one batch
        assert (len(outcomes), outcomes.failed) == (450, [])
        with peer.work({to_go.queue: 1}, concurrency=20, **FAST) as worker:
            worker.wait_for(
                lambda events: sum(event["event"] == "end" for event in events) >= 450, 60, "all have run"
            )
            runs = starts(worker)
        assert [json.loads(run["payload"])["number"] for run in sorted(runs, key=_number)] == list(range(450))
        assert {run["id"] for run in runs} == {result.id for result in outcomes.results}
        assert peer.inspect("info", queue=to_go.queue)["size"] == 0


class TestSchedule:
    @pytest.mark.parametrize("form", ["delay", "eta"])
    def test_is_never_early_and_hardly_late(self, peer: Peer, to_go: Sender, form: str) -> None:
        asked = time.time() + 1.3
        option = {"delay": 1.3} if form == "delay" else {"eta": datetime.fromtimestamp(asked, UTC)}
        result = to_go.options(**option).delay()
        assert result.state is State.SCHEDULED
        with peer.work({to_go.queue: 1}, **FAST) as worker:
            started = worker.wait_for_end(result.id)["at"]
        assert asked <= started < asked + 1 + LATE  # scores are whole seconds, rounded up

    def test_go_can_run_it_at_once(self, peer: Peer, to_go: Sender) -> None:
        result = to_go.options(delay=3600).delay()
        peer.inspect("run", queue=to_go.queue, id=result.id)
        with peer.work({to_go.queue: 1}, **FAST) as worker:
            worker.wait_for_end(result.id)


class TestUnique:
    def test_the_lock_is_free_after_goes_success(self, peer: Peer, to_go: Sender, raw: redis.Redis) -> None:
        unique = to_go.options(unique=600)
        first = unique.delay("ok", text="<&>")
        with pytest.raises(DuplicateTask) as duplicate:
            unique.delay("ok", text="<&>")
        assert duplicate.value.holder == first.id
        with peer.work({to_go.queue: 1}, **FAST) as worker:
            worker.wait_for_end(first.id)
            wait_until(
                lambda: not raw.keys(f"asynq:{{{to_go.queue}}}:unique:*"), description="Go frees the lock"
            )
            worker.wait_for_end(unique.delay("ok", text="<&>").id)

    def test_go_holds_a_task_of_pythons_to_its_lock(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        """Go's worker finds the lock by the message; its inspector by the field of the hash."""
        scheduled = app.get_task("nothing").options(queue=queue, unique=600, delay=600)
        result = scheduled.delay()
        with pytest.raises(DuplicateTask):
            scheduled.delay()
        peer.inspect("delete", queue=queue, id=result.id)
        scheduled.delay()


class TestResult:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ('{"width":800,"list":[1,2.5,null]}', {"width": 800, "list": [1, 2.5, None]}),
            ("42", 42),
            ('"text"', "text"),
            ("plain text, ünï", "plain text, ünï"),
            ("", ""),
        ],
    )
    def test_what_go_writes_is_read(self, peer: Peer, to_go: Sender, written: str, read: object) -> None:
        task = to_go.options(retention=600).delay(f"result:{written}")
        with peer.work({to_go.queue: 1}, **FAST):
            assert task.get(20) == read
        info = task.info()
        assert (info.state, info.retried, info.retention) == (State.COMPLETED, 0, 600)
        assert info.completed_at is not None
        assert abs(datetime.now(UTC) - info.completed_at) < timedelta(seconds=30)

    def test_no_result_is_none(self, peer: Peer, to_go: Sender) -> None:
        task = to_go.options(retention=600).delay("ok")
        with peer.work({to_go.queue: 1}, **FAST):
            assert task.get(20) is None

    def test_another_process_and_a_coroutine_read_it(self, peer: Peer, to_go: Sender) -> None:
        task_id = to_go.options(retention=600).delay("result:[1]").id

        async def read() -> Any:
            value = await to_go.app.result(task_id, queue=to_go.queue).aget(20)
            await to_go.app.aclose()
            return value

        with peer.work({to_go.queue: 1}, **FAST):
            assert asyncio.run(read()) == [1]

    def test_is_waited_for_while_go_is_at_work(self, peer: Peer, to_go: Sender) -> None:
        with peer.work({to_go.queue: 1}, **FAST):
            assert to_go.options(retention=600).delay("sleep:700").get(20) is None

    def test_of_a_task_that_go_enqueued_and_ran(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        task = {"type": "any", "payload": '{"go":"result:[1]"}', "queue": queue, "retention_ms": 600_000}
        peer.enqueue([{**task, "id": "kept"}, {**task, "id": "lost", "retention_ms": 0}])
        with pytest.raises(ResultNotKept, match="retention="):
            app.result("lost", queue=queue).get(20)
        with peer.work({queue: 1}, **FAST) as worker:
            assert app.result("kept", queue=queue).get(20) == [1]
            worker.wait_for_end("lost")
            wait_until(lambda: app.result("lost", queue=queue).state is None, description="the task is gone")
        with pytest.raises(ResultMissing):
            app.result("lost", queue=queue).get(20)


class TestFailure:
    @pytest.mark.parametrize(
        ("verb", "text"),
        [("fail", "boom"), ("skip", "boom: skip retry for the task"), ("panic", "boom")],
    )
    def test_goes_last_error_is_the_text(self, peer: Peer, to_go: Sender, verb: str, text: str) -> None:
        task = to_go.options(max_retries=0, retention=600).delay(verb)
        with peer.work({to_go.queue: 1}, **FAST), pytest.raises(TaskFailed) as failure:
            task.get(20)
        assert text in failure.value.text
        assert task.info().last_error == failure.value.text
        assert failure.value.task_id == task.id

    def test_a_retry_is_waited_for(self, peer: Peer, to_go: Sender) -> None:
        task = to_go.options(retention=600).delay("fail:2")
        with peer.work({to_go.queue: 1}, **FAST) as worker:
            assert task.get(30) is None
        assert [run["retried"] for run in starts(worker)] == [0, 1, 2]
        assert (task.info().retried, task.info().last_error) == (2, "boom")

    def test_goes_retry_state_is_seen(self, peer: Peer, to_go: Sender) -> None:
        task = to_go.options().delay("fail")
        with peer.work({to_go.queue: 1}, delayed_check_ms=100, task_check_ms=50):
            wait_until(lambda: task.state is State.RETRY, description="Go retries it")
        info = task.info()
        assert (info.retried, info.max_retries, info.last_error) == (1, 25, "boom")
        assert info.last_failed_at is not None

    def test_go_keeps_to_timeout_and_deadline(self, peer: Peer, to_go: Sender) -> None:
        past = datetime.now(UTC) - timedelta(seconds=1)
        long = to_go.options(timeout=1, max_retries=0, retention=600).delay("sleep:60000")
        late = to_go.options(deadline=past, max_retries=0, retention=600).delay("ok")
        with peer.work({to_go.queue: 1}, **FAST) as worker:
            for task in (long, late):
                with pytest.raises(TaskFailed, match="context deadline exceeded"):
                    task.get(20)
        assert {run["id"] for run in starts(worker)} == {long.id}

    def test_go_revokes(self, peer: Peer, to_go: Sender) -> None:
        task = to_go.options(retention=600).delay("revoke")
        with peer.work({to_go.queue: 1}, **FAST), pytest.raises(ResultMissing):
            task.get(20)


class TestGroup:
    def test_go_aggregates_it(self, peer: Peer, to_go: Sender) -> None:
        tasks = [to_go.options(group="G").delay("ok", number=number) for number in range(3)]
        assert {task.state for task in tasks} == {State.AGGREGATING}
        assert peer.inspect("groups", queue=to_go.queue) == [{"group": "G", "size": 3}]
        with peer.work({to_go.queue: 1}, group_grace_ms=1000, group_max_size=3, **FAST) as worker:
            (end,) = worker.wait_for(
                lambda events: [event for event in events if event["event"] == "end"], 30, "the group has run"
            )
        assert end["type"] == "aggregated:G"
        payloads = [json.loads(payload) for payload in json.loads(end["payload"])]
        assert sorted(payload["number"] for payload in payloads) == [0, 1, 2]
        assert [task.state for task in tasks] == [None, None, None]

    def test_one_that_was_due_later_runs_alone(self, peer: Peer, to_go: Sender) -> None:
        task = to_go.options(group="G", delay=1).delay("ok")
        assert task.state is State.SCHEDULED
        with peer.work({to_go.queue: 1}, group_grace_ms=1000, group_max_size=3, **FAST) as worker:
            assert worker.wait_for_end(task.id)["type"] == "for:go"


def _number(event: Event) -> int:
    number: int = json.loads(event["payload"])["number"]
    return number
