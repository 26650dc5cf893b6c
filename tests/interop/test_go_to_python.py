"""Go enqueues, with every option that it has; a Python worker runs it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from taskflow import State, TaskFlow
from taskflow.errors import DuplicateTask, TaskFailed, TaskIdConflict
from tests.interop.apps.side import PythonSide, python_side
from tests.interop.golang import Peer
from tests.servers import Server, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

UNIQUE = {"type": "typed", "payload": '{"text":"a"}', "unique_ms": 600_000}

LATE = 4.0
"""Seconds after its time by which a scheduled task must have started: a second, and what is the machine's."""


def enqueue(peer: Peer, type: str, queue: str, **options: Any) -> str:
    """Let Go enqueue one task; "arguments" become its payload as a JSON object. Returns its id."""
    if "arguments" in options:
        options["payload"] = json.dumps(options.pop("arguments"))
    (answer,) = peer.enqueue([{"type": type, "queue": queue, **options}])
    assert answer["ok"], answer
    task_id: str = answer["id"]
    return task_id


class TestRun:
    def test_a_task_without_options(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        arguments = {"text": "ünï <&>\u2028", "nested": {"list": [1, 2.5, None, True]}}
        task_id = enqueue(peer, "record", queue, arguments=arguments)
        run = python.runs.wait_for(task_id)
        assert 1790 < run.pop("deadline") - run.pop("at") <= 1800  # Asynq's half hour
        assert run == {
            "name": "record",
            "id": task_id,
            "queue": queue,
            "retried": 0,
            "max_retry": 25,
            "headers": {},
            "arguments": arguments,
        }
        python.wait_for_state(None, task_id, queue)
        info = peer.inspect("info", queue=queue)
        assert (info["size"], info["processed"], info["failed"], info["processed_total"]) == (0, 1, 0, 1)

    def test_arguments_are_converted_by_their_annotations(self, peer: Peer, python: PythonSide) -> None:
        """Go writes 1.0 as 1, and the fields of a struct in an order of its own."""
        queue = python.queue()
        task_id = enqueue(peer, "typed", queue, payload='{"ratio":1,"text":"a"}', retention_ms=60_000)
        assert python.result(task_id, queue).get(20) == "a:1.0:0"

    def test_id_retries_and_headers_reach_the_task(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        headers = {"trace": "<1>", "kind": "ünï"}
        enqueue(peer, "record", queue, arguments={}, id="my id:1", max_retry=3, headers=headers)
        run = python.runs.wait_for("my id:1", queue=queue)
        assert (run["max_retry"], run["headers"]) == (3, headers)

    def test_the_deadline_of_a_run_is_the_earlier_of_timeout_and_deadline(
        self, peer: Peer, python: PythonSide
    ) -> None:
        queue = python.queue()
        deadline = int(time.time()) + 600
        enqueue(peer, "nothing", queue, id="timeout", timeout_ms=90_000)
        enqueue(peer, "nothing", queue, id="deadline", deadline_unix=deadline)
        enqueue(peer, "nothing", queue, id="timeout first", timeout_ms=90_000, deadline_unix=deadline)
        enqueue(peer, "nothing", queue, id="deadline first", timeout_ms=900_000, deadline_unix=deadline)
        enqueue(
            peer, "nothing", queue, id="cut to none", timeout_ms=500
        )  # Go stores 0, and means half an hour
        timeouts = {"timeout": 90, "timeout first": 90, "cut to none": 1800}
        for task_id, timeout in timeouts.items():
            run = python.runs.wait_for(task_id, queue=queue)
            assert timeout - 5 < run["deadline"] - run["at"] <= timeout, task_id
        for task_id in ("deadline", "deadline first"):
            run = python.runs.wait_for(task_id, queue=queue)
            assert run["deadline"] == pytest.approx(deadline, abs=0.1), task_id

    @pytest.mark.parametrize(
        "far",
        [
            {"timeout_ms": 9_223_372_036_000},  # 292 years, the longest that Go has
            {"deadline_unix": 253_402_300_800},  # the year 10000, which Python does not have
            {"deadline_unix": 1 << 62},
            {"headers": {"taskflow-hard-timeout": "nan"}},
            {"headers": {"taskflow-hard-timeout": "1e300"}},
            {"headers": {"taskflow-hard-timeout": "-1"}},
            {"headers": {"taskflow-hard-timeout": "no number"}},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("task", ["slow", "slow_async"])
    def test_a_limit_beyond_all_bounds_is_none(
        self, peer: Peer, python: PythonSide, task: str, far: dict[str, Any]
    ) -> None:
        queue = python.queue()
        task_id = enqueue(peer, task, queue, arguments={"seconds": 0.1}, retention_ms=60_000, **far)
        assert python.result(task_id, queue).get(20) == "slept"

    @pytest.mark.parametrize("task_id", ["{x}", "a}b{c", "ü\n\x00:", "%s", "x" * 5000])
    def test_an_id_may_be_any_text(
        self, peer: Peer, python: PythonSide, raw: redis.Redis, task_id: str
    ) -> None:
        queue = python.queue()
        enqueue(peer, "nothing", queue, id=task_id)
        python.runs.wait_for(task_id, queue=queue)
        key = f"asynq:{{{queue}}}:t:{task_id}"
        wait_until(lambda: not raw.exists(key), description="the task is done")

    @pytest.mark.parametrize("task", ["slow", "slow_async"])
    def test_a_timeout_ends_the_run(self, peer: Peer, python: PythonSide, task: str) -> None:
        queue = python.queue()
        limits = {"timeout_ms": 1000, "max_retry": 0}
        task_id = enqueue(peer, task, queue, arguments={"seconds": 60}, retention_ms=60_000, **limits)
        python.runs.wait_for(task_id)
        with pytest.raises(TaskFailed) as failure:
            python.result(task_id, queue).get(20)
        assert failure.value.text == "time limit of 1 s exceeded"

    def test_a_deadline_that_has_passed_is_a_failure_without_a_run(
        self, peer: Peer, python: PythonSide
    ) -> None:
        queue = python.queue()
        late = {"deadline_unix": int(time.time()) - 1, "max_retry": 0}
        task_id = enqueue(peer, "record", queue, arguments={}, retention_ms=60_000, **late)
        with pytest.raises(TaskFailed, match="deadline had passed"):
            python.result(task_id, queue).get(20)
        assert python.runs.of(queue=queue) == []

    def test_a_failure_is_retried_as_often_as_go_said(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        twice = enqueue(peer, "flaky", queue, arguments={"failures": 2}, max_retry=2, retention_ms=60_000)
        never = enqueue(peer, "flaky", queue, arguments={"failures": 1}, max_retry=0, retention_ms=60_000)
        assert python.result(twice, queue).get(30) == 2
        assert [run["retried"] for run in python.runs.of(id=twice)] == [0, 1, 2]
        with pytest.raises(TaskFailed, match="failure 1"):
            python.result(never, queue).get(20)
        assert len(python.runs.of(id=never)) == 1


class TestSchedule:
    def test_process_in_is_never_early_and_hardly_late(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task_id = enqueue(peer, "nothing", queue, process_in_ms=2500)
        due = peer.inspect("task", queue=queue, id=task_id)["next_process_at"]
        assert python.result(task_id, queue).state is State.SCHEDULED
        assert 0 <= python.runs.wait_for(task_id)["at"] - due < LATE

    def test_process_at_is_never_early_and_hardly_late(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        due = int(time.time()) + 3
        task_id = enqueue(peer, "nothing", queue, process_at_unix=due)
        assert python.result(task_id, queue).state is State.SCHEDULED
        assert 0 <= python.runs.wait_for(task_id)["at"] - due < LATE

    def test_a_time_in_the_past_is_now(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task_id = enqueue(peer, "nothing", queue, process_at_unix=int(time.time()) - 60)
        python.runs.wait_for(task_id)

    def test_a_group_with_a_time_runs_alone_at_that_time(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task_id = enqueue(peer, "nothing", queue, group="G", process_in_ms=1500)
        python.runs.wait_for(task_id)


class TestUnique:
    def test_the_lock_is_free_after_success(self, peer: Peer, python: PythonSide, raw: redis.Redis) -> None:
        queue = python.queue()
        task = {**UNIQUE, "queue": queue, "retention_ms": 60_000}
        (first,) = peer.enqueue([task])
        assert python.result(first["id"], queue).get(20) == "a:1.0:0"
        assert raw.keys(f"asynq:{{{queue}}}:unique:*") == []
        (second,) = peer.enqueue([task])
        assert second["ok"]

    def test_the_lock_outlives_a_failure_that_is_retried(
        self, peer: Peer, python: PythonSide, raw: redis.Redis
    ) -> None:
        queue = python.queue()
        task_id = enqueue(peer, "fail", queue, arguments={}, unique_ms=600_000)
        python.wait_for_state(State.RETRY, task_id, queue)
        (lock,) = raw.keys(f"asynq:{{{queue}}}:unique:*")
        assert raw.get(lock) == task_id.encode()

    def test_goes_lock_keeps_a_python_client_out(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        (answer,) = peer.enqueue([{**UNIQUE, "queue": queue}])
        with pytest.raises(DuplicateTask) as duplicate:
            app.get_task("typed").options(queue=queue, unique=600).delay(text="a")
        assert duplicate.value.holder == answer["id"]
        app.get_task("typed").options(queue=queue, unique=600).delay(text="another")

    def test_pythons_lock_keeps_a_go_client_out(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        app.get_task("typed").options(queue=queue, unique=600).delay(text="a")
        (answer,) = peer.enqueue([{**UNIQUE, "queue": queue}])
        assert (answer["ok"], answer.get("duplicate")) == (False, True)

    def test_no_payload_and_an_empty_object_have_locks_of_their_own(
        self, peer: Peer, app: TaskFlow, queue: str
    ) -> None:
        """Go's nil payload is not `{}`, which is what Python writes for no arguments."""
        enqueue(peer, "nothing", queue, unique_ms=600_000)
        app.get_task("nothing").options(queue=queue, unique=600).delay()
        (answer,) = peer.enqueue([{"type": "nothing", "queue": queue, "payload": "{}", "unique_ms": 600_000}])
        assert answer.get("duplicate") is True

    def test_an_id_is_taken_whoever_took_it(self, peer: Peer, app: TaskFlow, queue: str) -> None:
        enqueue(peer, "nothing", queue, id="go")
        with pytest.raises(TaskIdConflict):
            app.get_task("nothing").options(queue=queue, id="go").delay()
        app.get_task("nothing").options(queue=queue, id="python").delay()
        (answer,) = peer.enqueue([{"type": "nothing", "queue": queue, "id": "python"}])
        assert (answer["ok"], answer.get("conflict")) == (False, True)


class TestRetention:
    def test_go_reads_the_result_as_json(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        value = {"text": "ü", "list": [1, 2.5, None]}
        task_id = enqueue(peer, "record", queue, arguments=value, retention_ms=600_000)
        assert python.result(task_id, queue).get(20) == value
        (task,) = peer.inspect("list", queue=queue, state="completed")
        assert json.loads(task["result"]) == value
        assert (task["id"], task["state"], task["retention_s"], task["retried"]) == (
            task_id,
            "completed",
            600,
            0,
        )
        assert task["completed_at"] == pytest.approx(time.time(), abs=20)

    def test_no_value_is_null(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task_id = enqueue(peer, "nothing", queue, retention_ms=600_000)
        assert python.result(task_id, queue).get(20) is None
        assert peer.inspect("task", queue=queue, id=task_id)["result"] == "null"


class TestGroup:
    def test_a_group_waits_until_somebody_runs_it(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        for task_id in ("one", "two", "three"):
            enqueue(peer, "nothing", queue, id=task_id, group="G")
        assert python.result("one", queue).state is State.AGGREGATING
        peer.inspect("run", queue=queue, id="one")
        python.runs.wait_for("one", queue=queue)
        assert python.result("two", queue).state is State.AGGREGATING
        assert peer.inspect("runall", queue=queue, state="aggregating", group="G") == 2
        python.runs.wait_for("two", queue=queue)
        python.runs.wait_for("three", queue=queue)
        python.wait_for_state(None, "three", queue)
        assert peer.inspect("groups", queue=queue) == []


class TestPayload:
    def test_over_a_mebibyte_runs(self, peer: Peer, python: PythonSide) -> None:
        """The limit is for those who enqueue in Python; what is stored is run."""
        queue = python.queue()
        text = "x" * (3 * 1024 * 1024)
        task_id = enqueue(peer, "measure", queue, arguments={"text": text}, retention_ms=60_000)
        assert python.result(task_id, queue).get(30) == len(text)

    def test_none_and_an_empty_one_are_no_arguments(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        enqueue(peer, "nothing", queue, id="nil")
        enqueue(peer, "nothing", queue, id="empty", payload="")
        enqueue(peer, "nothing", queue, id="object", payload=" {} ")
        for task_id in ("nil", "empty", "object"):
            assert python.runs.wait_for(task_id, queue=queue)["arguments"] == {}

    @pytest.mark.parametrize(
        ("payload", "text"),
        [
            ("no JSON", "task 'typed'"),
            ("[1]", "task 'typed'"),
            (None, "text"),
            ('{"ratio":1}', "text"),
            ('{"text":5}', "text"),
            ('{"text":"a","colour":"red"}', "colour"),
        ],
    )
    def test_what_does_not_fit_is_archived_with_a_text_and_nothing_is_lost(
        self, peer: Peer, python: PythonSide, payload: str | None, text: str
    ) -> None:
        queue = python.queue()
        options = {} if payload is None else {"payload": payload}
        task_id = enqueue(peer, "typed", queue, **options)
        python.wait_for_state(State.ARCHIVED, task_id, queue)
        task = peer.inspect("task", queue=queue, id=task_id)
        assert text in task["last_err"]
        assert (task["payload"], task["retried"]) == (payload or "", 0)
        with pytest.raises(TaskFailed, match=text):
            python.result(task_id, queue).get(20)
        assert python.runs.of(queue=queue) == []

    def test_an_unknown_type_is_put_back_as_it_was(self, peer: Peer, python: PythonSide) -> None:
        queue = python.queue()
        task_id = enqueue(peer, "go:only", queue, payload="\x00 any text", max_retry=0)
        line = python.worker.wait_for_log(task_id)
        assert "go:only" in line
        python.wait_for_state(State.SCHEDULED, task_id, queue)
        task = peer.inspect("task", queue=queue, id=task_id)
        assert (task["payload"], task["retried"], task["last_err"]) == ("\x00 any text", 0, "")
        info = peer.inspect("info", queue=queue)
        assert (info["scheduled"], info["processed"], info["failed"]) == (1, 0, 0)
        peer.inspect("delete", queue=queue, id=task_id)

    def test_an_unknown_type_is_run_by_a_worker_that_knows_it(
        self, peer: Peer, valkey: Server, queue: str, tmp_path: Path
    ) -> None:
        task_id = enqueue(peer, "go:only", queue, payload="\x00 any text")
        with python_side(valkey.url, tmp_path, queues={queue: 1}) as python:
            python.wait_for_state(State.SCHEDULED, task_id, queue)
        with peer.work({queue: 1}, delayed_check_ms=100, task_check_ms=50) as worker:
            end = worker.wait_for_end(task_id)
        assert (end["payload"], end["retried"], end.get("error")) == ("\x00 any text", 0, None)
