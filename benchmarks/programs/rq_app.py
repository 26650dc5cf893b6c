"""RQ. Results of no-ops are not kept."""

from __future__ import annotations

import time

import side
from redis import Redis
from rq import Queue

queue = Queue(side.QUEUE, connection=Redis(port=side.PORT))
CHUNK = 1000


def noop() -> None: ...


def sleep() -> None:
    side.sleep()


def cpu() -> None:
    side.cpu()


def mark(sent: int) -> None:
    side.mark(sent)


def value() -> int:
    return 1


KINDS = {"noop": noop, "sleep": sleep, "cpu": cpu}


class Client:
    def one(self, kind: str) -> None:
        queue.enqueue(side.pick(KINDS, kind), result_ttl=0)

    def many(self, kind: str, count: int) -> None:
        function = side.pick(KINDS, kind)
        for start in range(0, count, CHUNK):
            size = min(CHUNK, count - start)
            queue.enqueue_many([Queue.prepare_data(function, result_ttl=0) for _ in range(size)])

    def ping(self, sent: int) -> None:
        queue.enqueue(mark, sent, result_ttl=0)

    def value(self) -> None:
        job = queue.enqueue(value, result_ttl=60)
        result = job.latest_result(timeout=10)
        while result is None:
            time.sleep(0.001)
            result = job.latest_result(timeout=10)
        assert result.return_value == 1
