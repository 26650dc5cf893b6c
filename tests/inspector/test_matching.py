"""Tasks that fit a filter: found, counted, and told to do something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from taskflow.attempts import attempt_line
from taskflow.broker.aio import AsyncBroker
from taskflow.broker.commands.admin import delete_tasks
from taskflow.broker.commands.enqueue import publish_queues
from taskflow.broker.sync import Broker
from taskflow.broker.words import Moved
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.sync import SyncDriver
from taskflow.errors import IllegalMove, InvalidOption, QueueNotFound
from taskflow.inspector import AsyncInspector, Inspector, TaskFilter, matching
from taskflow.message.task_message import TaskMessage
from taskflow.partitions import partition_names
from taskflow.states import State
from tests.conftest import Cluster
from tests.inspector.ask import OnALoop
from tests.inspector.stored import Stored
from tests.properties.mutants import changed


def archive(
    stored: Stored,
    task_id: str,
    name: str = "shop.charge",
    error: str = "PaymentError",
    text: str = "declined",
    ago: int = 0,
) -> None:
    """An archived task, as a worker leaves it."""
    at = int(time.time()) - ago
    message = stored.message(task_id, type=name, error_msg=text, last_failed_at=at)
    line = "".join(attempt_line(at, 0.1, "host:1:x", error, "shop.errors", text, "Traceback …"))
    key = stored.keys.task(task_id)
    stored.raw.hset(key, mapping={"msg": message.encode(), "state": "archived", "attempts": line + "\n"})
    stored.raw.zadd(stored.keys.archived, {task_id: at})


@pytest.fixture
def several(stored: Stored) -> Stored:
    archive(stored, "a", ago=7200)
    archive(stored, "b", name="shop.refund", ago=60)
    archive(stored, "c", error="Timeout", text="No answer from GATEWAY")
    archive(stored, "d", name="mail.send", error="", text="smtp")
    return stored


def ids(found: Any) -> list[str]:
    return [task.id for task in found]


@pytest.mark.parametrize(
    ("where", "fit"),
    [
        ({}, "abcd"),
        ({"name": "shop.*"}, "abc"),
        ({"name": "shop.charge"}, "ac"),
        ({"name": "SHOP.*"}, ""),
        ({"error": "PaymentError"}, "ab"),
        ({"error": "shop.errors.*"}, "abc"),
        ({"error": "Pay"}, ""),
        ({"text": "gateway"}, "c"),
        ({"older_than": 3600}, "a"),
        ({"newer_than": timedelta(hours=1)}, "bcd"),
        ({"older_than": 30, "newer_than": 3600}, "b"),
        ({"name": "shop.*", "error": "PaymentError", "newer_than": 3600}, "b"),
    ],
)
def test_a_filter_finds_the_tasks_that_fit_all_of_it(
    broker: Broker, several: Stored, where: dict[str, Any], fit: str
) -> None:
    inspector, chosen = Inspector(broker), TaskFilter(**where)
    assert ids(inspector.matching(State.ARCHIVED, chosen, queues=[several.queue])) == list(fit)
    counts = inspector.count_matching(State.ARCHIVED, chosen, queues=[several.queue])
    assert counts == ({several.queue: len(fit)} if fit else {})


def test_an_order_is_for_those_that_fit_and_no_others(inspector: Any, several: Stored) -> None:
    queues = [several.queue]
    assert inspector.run_matching(State.ARCHIVED, TaskFilter(error="PaymentError"), queues=queues) == 2
    assert several.ids(State.PENDING) == ["a", "b"]
    assert inspector.delete_matching(State.ARCHIVED, TaskFilter(name="mail.*"), queues=queues) == 1
    assert several.ids(State.ARCHIVED) == ["c"]
    assert inspector.archive_matching(State.PENDING, TaskFilter(name="shop.refund"), queues=queues) == 1
    assert several.ids(State.PENDING) == ["a"]
    with pytest.raises(IllegalMove, match="state completed cannot be archived"):
        inspector.archive_matching(State.COMPLETED, queues=queues)


def test_every_state_can_be_searched_and_ages_where_they_are_known(broker: Broker, stored: Stored) -> None:
    inspector = Inspector(broker)
    for state in State:
        stored.put(state, state.value)
        queues = [stored.queue]
        assert ids(inspector.matching(state, TaskFilter(name="shop:*"), queues=queues)) == [state.value]
        young = TaskFilter(newer_than=60)
        if state in (State.SCHEDULED, State.AGGREGATING):
            with pytest.raises(InvalidOption, match="how old they are"):
                list(inspector.matching(state, young, queues=queues))
        else:
            assert ids(inspector.matching(state, young, queues=queues)) == [state.value]


def test_what_is_damaged_fits_only_a_filter_that_asks_nothing(broker: Broker, stored: Stored) -> None:
    stored.raw.zadd(stored.keys.archived, {"gone": 1})
    stored.raw.hset(stored.keys.task("bad"), mapping={"msg": b"\xff", "state": "archived"})
    stored.raw.zadd(stored.keys.archived, {"bad": 2})
    inspector = Inspector(broker)
    assert ids(inspector.matching(State.ARCHIVED, queues=[stored.queue])) == ["gone", "bad"]
    assert ids(inspector.matching(State.ARCHIVED, TaskFilter(name="*"), queues=[stored.queue])) == []
    stored.raw.delete(stored.keys.archived, stored.keys.task("bad"))


def test_a_queue_that_is_not_there_is_said(inspector: Any) -> None:
    with pytest.raises(QueueNotFound):
        inspector.count_matching(State.ARCHIVED, queues=["no-such-queue"])


def test_coroutines_iterate_too(valkey: Any, several: Stored) -> None:
    on_a_loop = OnALoop(valkey.url)

    async def main() -> list[str]:
        broker = AsyncBroker(AsyncDriver(valkey.url))
        found = AsyncInspector(broker).matching(State.ARCHIVED, queues=[several.queue])
        try:
            return [task.id async for task in found]
        finally:
            await broker.close()

    assert on_a_loop._runner.run(main()) == list("abcd")
    on_a_loop.close()


def test_all_queues_and_partitions_are_looked_through(cluster: Cluster, queue: str) -> None:
    """Each of them may be on another node."""
    broker = Broker(SyncDriver(cluster.url))
    names = [*partition_names(queue, 4), f"{queue}-other"]
    inspector = Inspector(broker)
    try:
        places = [Stored(broker, None, name) for name in names]  # type: ignore[arg-type]
        for index, place in enumerate(places):
            for n in range(index + 1):
                place.pending(f"{index}-{n}")
        where = TaskFilter(name="shop:*")
        mine = {queue: 10, f"{queue}-other": 5}
        assert inspector.count_matching(State.PENDING, where).items() >= mine.items()
        assert inspector.count_matching(State.PENDING, where, queues=[queue]) == {queue: 10}
        assert inspector.archive_matching(State.PENDING, where, queues=list(mine)) == 15
        assert inspector.run_matching(State.ARCHIVED, where, queues=[queue]) == 10
        assert inspector.delete_matching(State.PENDING, queues=[queue]) == 10
        assert inspector.delete_matching(State.ARCHIVED, queues=[f"{queue}-other"]) == 5
        for name in mine:
            inspector.remove(name)
    finally:
        broker.close()


# --- while others change the queue ----------------------------------------------------------------------------


class Meddling(Broker):
    """Does something else after some of the calls."""

    def __init__(self, url: str) -> None:
        super().__init__(SyncDriver(url))
        self.after: Any = None

    def run(self, command: Any, *args: Any, **kwargs: Any) -> Any:
        value = super().run(command, *args, **kwargs)
        if self.after is not None:
            self.after(getattr(getattr(command, "script", None), "name", ""))
        return value


@pytest.fixture
def meddling(valkey: Any) -> Iterator[Meddling]:
    broker = Meddling(valkey.url)
    yield broker
    broker.after = None
    broker.close()


def test_a_task_that_fails_again_at_once_is_run_once(meddling: Meddling, stored: Stored) -> None:
    """A task that is run and fails stands in `archived` again, behind the others: an order that went on until nothing fits
    would run it for ever.
    """
    for n in range(150):
        archive(stored, f"t{n:03}", ago=300 - n)
    runs: list[int] = []

    def fail_again(script: str) -> None:
        if script == "run_tasks":
            back = stored.ids(State.PENDING)
            runs.append(len(back))
            stored.raw.delete(stored.keys.pending)
            for task_id in back:
                archive(stored, task_id)

    meddling.after = fail_again
    assert Inspector(meddling).run_matching(State.ARCHIVED, queues=[stored.queue]) == 150
    assert sum(runs) == 150


def test_none_is_left_out_when_others_take_tasks_away_meanwhile(meddling: Meddling, stored: Stored) -> None:
    """Workers trim the oldest archived ones: what stood behind them moves up, over the place where the order is."""
    for n in range(400):
        archive(stored, f"t{n:03}", name="keep" if n < 200 else "shop.charge", ago=500 - n)

    def trim(script: str) -> None:
        if script == "list_tasks" and stored.raw.zcard(stored.keys.archived) > 390:
            (oldest, _), *_ = stored.raw.zrange(stored.keys.archived, 0, 0, withscores=True)
            stored.raw.zrem(stored.keys.archived, oldest)
            stored.raw.delete(stored.keys.task(oldest.decode()))

    meddling.after = trim
    where = TaskFilter(name="shop.*")
    assert Inspector(meddling).delete_matching(State.ARCHIVED, where, queues=[stored.queue]) == 200


def test_a_task_that_moved_on_between_the_look_and_the_order_is_left(
    meddling: Meddling, several: Stored, broker: Broker
) -> None:
    """Somebody has let it run: to delete it now would be to lose a task."""

    def run_one(script: str) -> None:
        if script == "list_tasks" and several.raw.zscore(several.keys.archived, "a"):
            Inspector(broker).run(several.queue, "a")

    meddling.after = run_one
    where = TaskFilter(error="PaymentError")
    assert Inspector(meddling).delete_matching(State.ARCHIVED, where, queues=[several.queue]) == 1
    assert several.state("a") == "pending"
    meddling.after = None
    assert broker.run(delete_tasks(several.queue, ["a", "c"], "archived")) == [
        Moved.IS_ELSEWHERE,
        Moved.MOVED,
    ]


def test_the_tests_see_an_order_that_does_not_look_where_the_task_is(
    meddling: Meddling, several: Stored, broker: Broker
) -> None:
    with (
        changed("delete_tasks", "only_state ~= '' and state ~= only_state", "false"),
        pytest.raises(AssertionError),
    ):
        test_a_task_that_moved_on_between_the_look_and_the_order_is_left(meddling, several, broker)


@pytest.mark.parametrize("state", [State.ARCHIVED, State.PENDING])
def test_many_tasks_are_gone_through_page_by_page(broker: Broker, stored: Stored, state: State) -> None:
    """However many there are, no more than a page of them is held, and every one is looked at once."""
    message = stored.message("x", type="shop.charge").encode()
    with stored.raw.pipeline(transaction=False) as pipe:
        for n in range(5000):
            one = TaskMessage.decode(message)
            name = "mail.send" if n % 2 else one.type
            one = TaskMessage(type=name, payload=b"{}", id=f"t{n}", queue=stored.queue, timeout=60)
            pipe.hset(stored.keys.task(one.id), mapping={"msg": one.encode(), "state": state.value})
            if state is State.PENDING:
                pipe.lpush(stored.keys.pending, one.id)
            else:
                pipe.zadd(stored.keys.archived, {one.id: 1_790_000_000 + n})
        pipe.execute()
    broker.run(publish_queues([stored.queue]))
    inspector, where = Inspector(broker), TaskFilter(name="mail.*")
    found = ids(inspector.matching(state, where, queues=[stored.queue]))
    assert found == [f"t{n}" for n in range(1, 5000, 2)]
    assert inspector.delete_matching(state, where, queues=[stored.queue]) == 2500
    assert inspector.count_matching(state, queues=[stored.queue]) == {stored.queue: 2500}
    assert matching.FEW < 10, "a pending task is looked for in the whole list"
    assert inspector.delete_all(stored.queue, state) == 2500
