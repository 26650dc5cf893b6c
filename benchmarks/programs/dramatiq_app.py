"""Dramatiq, with its own default middleware."""

from __future__ import annotations

import dramatiq
import side
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=side.URL)
if side.RESULTS:
    broker.add_middleware(Results(backend=RedisBackend(url=side.URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=side.QUEUE)
def noop() -> None: ...


@dramatiq.actor(queue_name=side.QUEUE)
def sleep() -> None:
    side.sleep()


@dramatiq.actor(queue_name=side.QUEUE)
def cpu() -> None:
    side.cpu()


@dramatiq.actor(queue_name=side.QUEUE)
def mark(sent: int) -> None:
    side.mark(sent)


if side.RESULTS:

    @dramatiq.actor(queue_name=side.QUEUE, store_results=True)
    def value() -> int:
        return 1


KINDS = {"noop": noop, "sleep": sleep, "cpu": cpu}


class Client:
    def one(self, kind: str) -> None:
        side.pick(KINDS, kind).send()

    def ping(self, sent: int) -> None:
        mark.send(sent)

    def value(self) -> None:
        assert value.send().get_result(block=True, timeout=10_000) == 1
