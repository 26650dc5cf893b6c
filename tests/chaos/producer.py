"""`python -m tests.chaos.producer`: enqueues at a steady rate and writes every attempt and its outcome down.

It stops at the end of its stdin: the calls under way are finished first.
"""

from __future__ import annotations

import argparse
import os
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taskflow.errors import BrokerError, TaskFlowError
from taskflow.worker import timings

from . import app as chaos
from .ledger import Entry, Ledger

LONGEST_BATCH = 20
LARGEST_BATCH = 200
PADDING = 500
LONG_TASKS = 0.05
LONGEST_TASK = 6.0


class Producer:
    """One thread that enqueues.

    Args:
        name: the prefix of its tags.
        ledger: where it writes.
        queues: to choose from.
        pace: seconds between two calls' beginnings, as far as the broker answers.
        mix: which calls it makes. `plain`: `.delay()` of quick tasks only; `gil`: also of one that holds the
            interpreter for three leases; `deploy`: quick tasks, and some that take up to twice the workers' grace;
            `held`: of tasks that take half a second or so, so that a blow finds some that run;
            `fill`: big batches, one after the other, until one is not taken; `all`: the rest.
        rng: seeded.
    """

    def __init__(
        self, name: str, ledger: Ledger, queues: Sequence[str], pace: float, mix: str, rng: random.Random
    ) -> None:
        self._name = name
        self._ledger = ledger
        self._queues = queues
        self._pace = pace
        self._mix = mix
        self._rng = rng
        self._count = 0
        self._credit = 0
        self._full = False

    def run(self, stop: threading.Event) -> None:
        """Enqueue until told to stop. After a stall it goes on at its pace: it does not catch up."""
        due = time.monotonic()
        while not stop.is_set() and not self._full:
            self._credit = 0
            self._call()
            due = max(due + self._pace * max(self._credit, 1), time.monotonic() - 1.0)
            stop.wait(max(due - time.monotonic(), 0))

    def _call(self) -> None:
        dice = self._rng.random() if self._mix == "all" else 0.5
        queue = self._rng.choice(self._queues)
        if self._mix == "fill":
            self._many(queue, LARGEST_BATCH, padding="x" * PADDING)
        elif self._mix == "gil" and not self._count and self._name.endswith(".0"):
            self._one(queue, chaos.hold_gil.options(queue=queue), seconds=3.0 * timings.TIMINGS.lease)
        elif self._mix == "deploy" and self._rng.random() < LONG_TASKS:
            task: Any = self._rng.choice([chaos.work, chaos.async_work])
            self._one(queue, task.options(queue=queue), seconds=self._rng.uniform(0.5, LONGEST_TASK))
        elif self._mix == "held":
            self._one(queue, chaos.work.options(queue=queue), seconds=self._rng.uniform(0.3, 0.8))
        elif dice < 0.05:
            self._many(queue, self._rng.randint(2, LONGEST_BATCH))
        elif dice < 0.10:
            self._one(queue, chaos.fail_once.options(queue=queue))
        elif dice < 0.15:
            self._one(queue, chaos.work.options(queue=queue, delay=self._rng.uniform(0.5, 3)))
        elif dice < 0.30:
            self._one(queue, chaos.async_work.options(queue=queue), seconds=self._seconds())
        else:
            self._one(queue, chaos.work.options(queue=queue), seconds=self._seconds())

    def _seconds(self) -> float:
        """Most tasks are quick; some are long enough to be hit by a kill."""
        if self._mix != "all":
            return 0.0
        return self._rng.uniform(0.3, 1.5) if self._rng.random() < 0.03 else self._rng.uniform(0, 0.01)

    def _tag(self) -> str:
        self._count += 1
        self._credit += 1
        return f"{self._name}-{self._count}"

    def _one(self, queue: str, task: Any, **arguments: Any) -> None:
        tag = self._tag()
        self._ledger.write("invoke", tag, detail=queue)
        try:
            handle = task.delay(tag, **arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is an outcome
            self._ledger.write(outcome(error), tag, detail=type(error).__name__)
        else:
            self._ledger.write("ok", tag, detail=handle.id)

    def _many(self, queue: str, count: int, padding: str = "") -> None:
        tags = [self._tag() for _ in range(count)]
        began = time.monotonic()
        self._ledger.write_all(Entry("invoke", tag, began, detail=queue) for tag in tags)
        try:
            items = chaos.work.options(queue=queue).map([(tag, self._seconds(), padding) for tag in tags])
        except Exception as error:  # noqa: BLE001
            ended = time.monotonic()
            self._ledger.write_all(
                Entry(outcome(error), tag, ended, detail=type(error).__name__) for tag in tags
            )
            return
        ended = time.monotonic()
        self._full = bool(items.failed)
        self._ledger.write_all(
            Entry("ok", tag, ended, detail=item.result.id)
            if item.result is not None
            else Entry(outcome(item.error), tag, ended, detail=type(item.error).__name__)
            for tag, item in zip(tags, items, strict=True)
        )


def outcome(error: BaseException | None) -> str:
    """`fail` if the task was refused for certain, `unknown` if it may have been sent."""
    refused = isinstance(error, TaskFlowError) and not isinstance(error, BrokerError)
    return "fail" if refused else "unknown"


def main() -> None:
    """Run some producers until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--queues", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mix", choices=("all", "plain", "gil", "fill", "deploy", "held"), default="all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    directory = Path(os.environ["TASKFLOW_CHAOS_LEDGER"])
    ledger = Ledger(directory / f"producer-{options.name}.ledger")
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=Producer(
                f"{options.name}.{number}",
                ledger,
                options.queues.split(","),
                options.threads / options.rate,
                options.mix,
                random.Random(f"{options.seed}/{options.name}/{number}"),
            ).run,
            args=(stop,),
        )
        for number in range(options.threads)
    ]
    for thread in threads:
        thread.start()
    os.read(0, 1)
    stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
