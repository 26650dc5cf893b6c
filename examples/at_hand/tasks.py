"""A small shop: tasks that fail, that take their time, that say how far they are, and what is around all of them."""

import time
from collections.abc import Iterator
from typing import Annotated

from taskflow import INJECTED, CurrentTask, Depends, Snooze, TaskFlow, current_task
from taskflow.events import Archived

app = TaskFlow("shop", retention=600)


class PaymentError(Exception):
    """The bank said no."""


@app.middleware(observer=True)
def timed(task: CurrentTask) -> Iterator[None]:
    """Every task says how long it took."""
    began = time.monotonic()
    try:
        yield
    finally:
        task.log(f"took {time.monotonic() - began:.1f} s")


@app.on(Archived)
def warn(event: Archived) -> None:
    """Told of every task that will not run again: the place for a pager."""
    print(f"gone for good: {event.task}, {type(event.error).__name__}", flush=True)


def ledger() -> Iterator[list[int]]:
    """Made for each task, and closed after it."""
    rows: list[int] = []
    yield rows
    current_task().log(f"{len(rows)} row is written")


@app.task(queue="orders", max_retries=1, default_retry_delay=0.1)
def charge(card: int) -> None:
    """Fails always."""
    raise PaymentError(f"card {card} declined")


@app.task(queue="orders", max_retries=5, default_retry_delay=0.1)
def ship(order: int) -> str:
    """Fails twice."""
    if current_task().retried < 2:
        raise ConnectionError("the carrier is away")
    return f"order {order} is on its way"


@app.task(bind=True, queue="orders", max_retries=3)
def fetch(self: CurrentTask, order: int) -> int:
    """Asks for another attempt, as in Celery."""
    try:
        if self.request.retries == 0:
            raise TimeoutError("no answer")
    except TimeoutError as error:
        self.retry(exc=error, countdown=0.1)
    return order


@app.task(queue="orders", max_retries=0, failure_retention=60)
def ping(host: str) -> None:
    """Fails, and is kept for a minute only."""
    raise OSError(f"no route to {host}")


@app.task(queue="orders")
def book(order: int, rows: Annotated[list[int], Depends(ledger)] = INJECTED) -> int:
    """Is given what it needs."""
    rows.append(order)
    return len(rows)


@app.task(queue="orders")
def invoice(day: str) -> None:
    """Is not failed, but early: it comes again in an hour."""
    raise Snooze(delay=3600)


@app.task(queue="reports")
def report(steps: int) -> int:
    """Takes its time."""
    for _ in range(steps):
        time.sleep(0.05)
    return steps


@app.task(queue="imports")
def import_rows(rows: int) -> int:
    """Says how far it is."""
    task = current_task()
    for number in range(1, rows + 1):
        time.sleep(0.02)
        task.progress(number, rows, f"row {number}")
        if number % 25 == 0:
            task.log(f"row {number} has no price")
    return rows
