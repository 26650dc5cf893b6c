"""Huey on Redis. Results of no-ops are not kept: a task that returns None stores none."""

from __future__ import annotations

import side
from huey import RedisHuey

huey = RedisHuey(side.QUEUE, url=side.URL, results=bool(side.RESULTS), notify_result=bool(side.RESULTS))


@huey.task()
def noop() -> None: ...


@huey.task()
def sleep() -> None:
    side.sleep()


@huey.task()
def cpu() -> None:
    side.cpu()


@huey.task()
def mark(sent: int) -> None:
    side.mark(sent)


@huey.task()
def value() -> int:
    return 1


KINDS = {"noop": noop, "sleep": sleep, "cpu": cpu}


class Client:
    def one(self, kind: str) -> None:
        side.pick(KINDS, kind)()

    def ping(self, sent: int) -> None:
        mark(sent)

    def value(self) -> None:
        assert value().get(blocking=True, timeout=10) == 1
