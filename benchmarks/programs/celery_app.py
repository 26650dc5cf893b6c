"""Celery. Nothing is asked of it that a no-op does not need: results are ignored, events are off."""

from __future__ import annotations

import side
from celery import Celery

app = Celery("bench", broker=f"{side.URL}/0", backend=f"{side.URL}/0")
app.conf.update(
    task_default_queue=side.QUEUE,
    task_ignore_result=True,
    result_expires=60,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    worker_redirect_stdouts=False,
)


@app.task(name="benchmark:noop")
def noop() -> None: ...


@app.task(name="benchmark:sleep")
def sleep() -> None:
    side.sleep()


@app.task(name="benchmark:cpu")
def cpu() -> None:
    side.cpu()


@app.task(name="benchmark:mark")
def mark(sent: int) -> None:
    side.mark(sent)


@app.task(name="benchmark:value", ignore_result=False)
def value() -> int:
    return 1


KINDS = {"noop": noop, "sleep": sleep, "cpu": cpu}


class Client:
    def one(self, kind: str) -> None:
        side.pick(KINDS, kind).delay()

    def many(self, kind: str, count: int) -> None:
        """The fastest that it has (a group is slower): one by one, with one producer for all."""
        task = side.pick(KINDS, kind)
        with app.producer_pool.acquire(block=True) as producer:
            for _ in range(count):
                task.apply_async(producer=producer)

    def ping(self, sent: int) -> None:
        mark.delay(sent)

    def value(self) -> None:
        assert value.delay().get(timeout=10) == 1
