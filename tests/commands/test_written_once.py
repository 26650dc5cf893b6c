"""A message is written once, however many ways it goes: when its queue, its id and its signature are settled."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.broker.commands.enqueue import NewTask
from taskflow.broker.sync import Broker
from taskflow.message.task_message import TaskMessage
from tests.commands.together import waiting
from tests.faults.lost import EveryReplyIsLostOnce
from tests.servers import Server, wait_until

KEYS: dict[str, dict[str, Any]] = {
    "none": {},
    "signing": {"signing_keys": ["a key of some bytes"]},
    "both": {"signing_keys": ["a key of some bytes"], "encryption_keys": ["another of some bytes"]},
}


@pytest.fixture
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often each message was written, by queue and id; and (but in eager mode) that none was read again for it."""
    count: Counter[tuple[str, str]] = Counter()
    encode = NewTask.encode

    def counted(self: NewTask) -> bytes:
        count[self.terms.queue, self.id] += 1
        return encode(self)

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a message was read by whoever enqueues it")

    monkeypatch.setattr(NewTask, "encode", counted)
    if "eager" not in request.function.__name__:
        monkeypatch.setattr(TaskMessage, "decode", refused)
    return count


@pytest.fixture
def make(valkey: Server, queue: str) -> Iterator[Callable[..., Any]]:
    """Makes an app with a task of one number."""
    apps: list[TaskFlow] = []

    def make(**settings: Any) -> Any:
        app = TaskFlow("once", broker=valkey.url, queue=queue, **settings)
        apps.append(app)

        @app.task(name="noop")
        def noop(number: int = 0) -> None: ...

        return noop

    yield make
    for app in apps:
        app.close()


def has_come(client: Any, count: int) -> bool:
    """Whether so many calls are under way or in the queue."""
    (queue,) = client._commit._queues.values()
    return (queue.leader is not None) + len(queue.waiting) == count


def times(written: Counter[tuple[str, str]]) -> set[int]:
    return set(written.values())


@pytest.mark.parametrize("keys", KEYS)
def test_each_call_writes_its_message_once(
    make: Callable[..., Any], written: Counter[tuple[str, str]], keys: str
) -> None:
    """With keys it was written, read, signed and written again."""
    noop = make(**KEYS[keys])
    ids = [noop.delay(number).id for number in range(3)]
    ids += [noop.options(max_retries=3).delay(3).id, noop.apply_async((4,), countdown=60).id]
    ids += [one.id for one in noop.map([(number,) for number in range(5, 300)]).results]
    with noop._backend.batch():
        ids += [noop.delay(number).id for number in range(300, 305)]

    assert [id for _, id in written] == ids
    assert times(written) == {1}


@pytest.mark.parametrize("keys", KEYS)
def test_a_partition_is_chosen_before_the_message_is_written(
    make: Callable[..., Any], written: Counter[tuple[str, str]], queue: str, keys: str
) -> None:
    noop = make(queues={queue: {"partitions": 6}}, **KEYS[keys])
    ids = [noop.delay(number).id for number in range(12)]
    ids += [noop.options(id="mine").delay().id, noop.options(retention=60).delay().id]
    ids += [one.id for one in noop.map([(number,) for number in range(250)]).results]

    assert [id for _, id in written] == ids
    assert times(written) == {1}


def test_what_is_sent_a_second_time_is_not_written_again(
    make: Callable[..., Any], written: Counter[tuple[str, str]], valkey: Server
) -> None:
    """Signed anew, a task with its lock or its id might not be found for what it is."""
    noop = make(signing_keys=["a key of some bytes"])
    client = noop._backend.client
    driver = EveryReplyIsLostOnce(valkey.url)
    client._broker = Broker(driver)
    for number in range(3):
        noop.delay(number)

    assert len(driver.lost) == 3
    assert times(written) == {1}


def test_nor_is_that_of_a_follower_whose_leader_was_interrupted(
    make: Callable[..., Any], written: Counter[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    noop = make()
    noop.delay(-1)
    client = noop._backend.client
    execute, go_on, trips = client.broker.driver.execute, threading.Event(), []

    def interrupted(requests: Any, *rest: Any) -> Any:
        trips.append(requests)
        if len(trips) == 1:
            go_on.wait(10)
        if len(trips) == 2:
            raise KeyboardInterrupt
        return execute(requests, *rest)

    monkeypatch.setattr(client.broker.driver, "execute", interrupted)
    ended: list[int] = []

    def call(number: int) -> None:
        try:
            noop.delay(number)
        except KeyboardInterrupt:
            return
        ended.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for count, thread in enumerate(threads, start=1):
        thread.start()
        wait_until(partial(has_come, client, count), description=f"{count} calls have come")
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert len(ended) == 3
    assert times(written) == {1}


@pytest.mark.parametrize("keys", KEYS)
def test_in_eager_mode_it_is_written_once_and_run_as_it_was_written(
    make: Callable[..., Any], written: Counter[tuple[str, str]], keys: str
) -> None:
    noop = make(eager=True, **KEYS[keys])
    ids = [noop.delay(1).id, noop.delay(2).id, noop.options(max_retries=3).delay(3).id]

    assert [id for _, id in written] == ids
    assert times(written) == {1}


def test_the_stored_message_is_the_one_that_was_written(make: Callable[..., Any]) -> None:
    """Whoever shares its terms with others, is alone, or is signed: what is stored is the call."""
    noop = make(signing_keys=["a key of some bytes"], headers={"who": "me"})
    noop.delay(1)
    noop.delay(2)
    noop.options(max_retries=3).delay(3)
    noop.map([(4,), (5,)])

    assert waiting(noop) == [1, 2, 3, 4, 5]
