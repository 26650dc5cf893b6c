"""Which tasks run beside the worker's own pool, told by the first bytes of a message."""

from __future__ import annotations

import pytest

from taskflow import TaskFlow
from taskflow.broker.commands.dequeue import Taken
from taskflow.errors import InvalidOption
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.pipe.frames import Hello, TaskFacts
from taskflow.states import Verb
from taskflow.worker.children.beside import Beside, type_of, wanted_beside
from taskflow.worker.config import WorkerConfig
from taskflow.worker.holding.held_tasks import Held


@pytest.mark.parametrize("name", ["a", "shop.tasks.resize", "x" * 127, "x" * 128, "ü" * 300])
def test_a_message_begins_with_its_type(name: str) -> None:
    message = TaskMessage(type=name, payload=b"{}", id="1", queue="q", timeout=60).encode()
    assert type_of(message) == name.encode()


@pytest.mark.parametrize("message", [b"", b"\n", b"\n\x80", b"\x12\x02{}\n\x01a", b"\xff\xff"])
def test_of_what_begins_otherwise_it_is_not_known(message: bytes) -> None:
    """Then the task runs in the worker's own pool, as it did before."""
    assert type_of(message) == b""


def hello(*tasks: TaskFacts) -> Hello:
    return Hello("app", "redis://", list(tasks), 1)


def test_there_is_a_second_pool_only_where_a_task_asks_for_it() -> None:
    threads = WorkerConfig("app", concurrency=20)
    processes = WorkerConfig("app", pool="processes", concurrency=8)
    facts = [
        TaskFacts("a", "mixed"),
        TaskFacts("b", "mixed", "processes"),
        TaskFacts("c", "own", "processes"),
    ]
    assert wanted_beside(threads, hello(facts[0], TaskFacts("d", "q", "async"))) is None
    assert wanted_beside(processes, hello(*facts)) is None
    found = wanted_beside(threads, hello(*facts))
    assert found is not None
    apart, tasks, queues = found
    assert (apart.pool, apart.slots, tasks, queues) == ("processes", 1, ["b", "c"], ["own"])
    found = wanted_beside(processes, hello(TaskFacts("t", "q", "threads")))
    assert found is not None
    assert (found[0].pool, found[0].slots, found[0].children) == ("threads", 20, 1)


def taken(name: str, number: int, crashes: int = 0) -> Held:
    message = TaskMessage(type=name, payload=b"{}", id=str(number), queue="q", timeout=60).encode()
    return Held("q", Taken(str(number), message, "token", crashes))


def test_what_has_no_room_beside_goes_back_for_a_moment() -> None:
    """Given to a child all the same, it was taken back after 200 ms and was the first in its queue again, five times a second."""
    given: list[Held] = []
    back: list[tuple[Held, Outcome]] = []
    beside = Beside(["b"], [], given.extend, lambda: 2, back.extend)
    items = [taken("b" if number % 2 else "a", number) for number in range(8)]
    assert [held.id for held in beside.take(items)] == ["0", "2", "4", "6"]
    assert [held.id for held in given] == ["1", "3"]
    assert [(held.id, outcome.verb, outcome.delay) for held, outcome in back] == [
        ("5", Verb.SNOOZE, 1.0),
        ("7", Verb.SNOOZE, 1.0),
    ]


def test_where_none_asks_for_it_nothing_is_divided() -> None:
    items = [taken("a", 1), taken("c", 2)]
    assert Beside(["b"], [], lambda items: None, lambda: 2, lambda items: None).take(items) is items


def noop() -> None: ...


async def anoop() -> None: ...


def test_a_pool_that_cannot_be_is_refused_where_it_is_written() -> None:
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")
    with pytest.raises(InvalidOption, match='"threads", "processes" or "async"'):
        app.task(pool="fork")(noop)  # type: ignore[call-overload]
    with pytest.raises(InvalidOption, match="no coroutine function"):
        app.task(pool="async")(noop)
    with pytest.raises(InvalidOption, match="coroutine function"):
        app.task(pool="threads")(anoop)
    app.task(pool="processes", name="a")(anoop)
    assert app.task(pool="process", name="b")(noop)._options.pool == "processes"
