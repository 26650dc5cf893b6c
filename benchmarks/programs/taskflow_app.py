"""taskflow, as its users write it."""

from __future__ import annotations

import os
import time

import side

from taskflow import TaskFlow

PARTITIONS = int(os.environ.get("BENCH_PARTITIONS", "1"))

app = TaskFlow(
    "bench",
    broker=side.URL,
    queue=side.QUEUE,
    queues={side.QUEUE: {"partitions": PARTITIONS}} if PARTITIONS > 1 else None,
)


@app.task(name="benchmark:noop")
def noop() -> None: ...


@app.task(name="benchmark:anoop")
async def anoop() -> None: ...


@app.task(name="benchmark:sleep")
def sleep() -> None:
    side.sleep()


@app.task(name="benchmark:cpu")
def cpu() -> None:
    side.cpu()


@app.task(name="benchmark:mark")
def mark(sent: int) -> None:
    side.mark(sent)


@app.task(name="benchmark:block")
def block(seconds: float) -> None:
    time.sleep(seconds)


@app.task(name="benchmark:value", retention=60)
def value() -> int:
    return 1


KINDS = {"noop": noop, "anoop": anoop, "sleep": sleep, "cpu": cpu}


class Client:
    def one(self, kind: str) -> None:
        KINDS[kind].delay()

    async def aone(self, kind: str) -> None:
        await KINDS[kind].adelay()

    def many(self, kind: str, count: int) -> None:
        KINDS[kind].map(() for _ in range(count)).raise_for_errors()

    def ping(self, sent: int) -> None:
        mark.delay(sent)

    def value(self) -> None:
        assert value.delay().get(timeout=10) == 1
