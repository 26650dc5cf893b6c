"""Messages and results that are larger than anybody expects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow import TaskFlow
from taskflow.errors import InvalidOption, TaskFailed
from taskflow.message.outcome import Outcome
from taskflow.pipe import frames
from taskflow.runner.outgoing import _frame
from taskflow.states import Verb
from taskflow.worker.config import WorkerConfig
from tests.servers import Server
from tests.workers import WorkerProcess


@given(st.lists(st.integers(0, frames.LARGEST_MOST_MESSAGE), max_size=50), st.integers(1, 20))
def test_frames_are_cut_by_bytes(sizes: list[int], most: int) -> None:
    """Three messages of 190 MB, which a producer's script can make, were one frame, over what a frame can be: the child was
    ended, and so was the next, and what was behind them never ran.
    """
    found = [list(batch) for batch in frames.batches(sizes, sizes, most)]
    assert [size for batch in found for size in batch] == sizes
    assert all(0 < len(batch) <= most for batch in found)
    assert all(sum(batch) <= max(frames.FULL_BYTES, batch[0]) for batch in found)


def test_a_message_and_its_result_fit_in_a_frame() -> None:
    assert 2 * frames.LARGEST_MOST_MESSAGE + (1 << 20) < frames.MOST_BYTES


def test_an_outcome_that_cannot_be_written_costs_its_own_task_only() -> None:
    broken = Outcome(2, Verb.DONE, lock="\ud800")
    written = _frame([Outcome(1, Verb.DONE), broken, Outcome(3, Verb.DONE)])
    found: list[Outcome] = []
    while written:
        size = frames.body_size(written[: frames.LENGTH])
        value = frames.decode_from_child(written[frames.LENGTH :][:size])
        assert isinstance(value, frames.Outcomes)
        found += value.items
        written = written[frames.LENGTH + size :]
    assert [(item.number, item.verb) for item in found] == [(1, "d"), (2, Verb.ARCHIVE_RAW), (3, "d")]


@pytest.mark.parametrize("bytes_", [0, 1023, frames.LARGEST_MOST_MESSAGE + 1])
def test_a_limit_that_cannot_be_is_refused(bytes_: int) -> None:
    with pytest.raises(InvalidOption, match="max_message"):
        WorkerConfig("app", max_message=bytes_)


@pytest.fixture
def app(valkey: Server, queue: str) -> Iterator[TaskFlow]:
    app = TaskFlow("client", broker=valkey.url, queue=queue, retention=60, max_payload=1 << 20)

    @app.task(name="large:length", max_retries=0)
    def length(text: str) -> int: ...

    @app.task(name="large:repeat", max_retries=0)
    def repeat(count: int) -> str: ...

    yield app
    app.close()


@pytest.mark.broken_keys
def test_what_is_over_the_workers_limit_is_archived_and_what_is_behind_it_runs(
    app: TaskFlow, valkey: Server, queue: str
) -> None:
    length, repeat = app.tasks["large:length"], app.tasks["large:repeat"]
    large: Any = [length.delay("x" * 200_000) for _ in range(3)]
    behind = length.delay("x" * 1000)
    returns = repeat.delay(200_000)
    options: dict[str, Any] = {"queues": {queue: 1}, "max_message": 100_000}
    with WorkerProcess("tests.lifecycle.app", broker=valkey.url, **options) as worker:
        assert behind.get(20) == 1000
        with pytest.raises(TaskFailed, match="200,002 bytes of JSON, over the worker's limit of 100,000"):
            returns.get(20)
        for one in large:
            with pytest.raises(TaskFailed, match="bytes, over the worker's limit of 100,000"):
                one.get(20)
        worker.wait_for_log("was archived unread: its message has")
