"""What handing over costs the threads of one Python process, without a broker: `python -m benchmarks.handover`.

A thread that calls `.delay()` waits for its reply, so each task of many threads hands the interpreter from one of them to another
at least once. Here a hundred threads do just that: each does as much work as making a task takes, lets the next one go, and waits
for its turn. Nothing is sent. So this is what there is to be reached by threads of one process, whatever sends their tasks.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

import click

from .processes import awake

CALLERS = 100


@click.command()
@click.option("--work", default=14.0, show_default=True, help="Microseconds of Python for each task.")
@click.option("--each", default=200, show_default=True, help="Tasks of each thread.")
@click.option("--rounds", default=5, show_default=True)
def main(work: float, each: int, rounds: int) -> None:
    """Tasks a second: one thread that waits for nobody, and a hundred that let each other go in turn."""
    with awake(True):
        spins = _spins(work)
        pairs = [(_alone(spins, CALLERS * each), _in_turn(spins, each)) for _ in range(rounds)]
    for label, rates in zip(("one thread", f"{CALLERS} in turn"), zip(*pairs, strict=True), strict=True):
        middle = statistics.median(rates)
        click.echo(
            f"{label}: {middle:,.0f} a second ({min(rates):,.0f} to {max(rates):,.0f}), {1e6 / middle:.1f} us each"
        )


def _spin(count: int) -> None:
    for _ in range(count):
        pass


def _spins(microseconds: float) -> int:
    """How long a loop takes so many microseconds."""
    count = 2_000_000
    return round(count * microseconds / 1e6 / _timed(lambda: _spin(count)))


def _alone(spins: int, tasks: int) -> float:
    def work() -> None:
        for _ in range(tasks):
            _spin(spins)

    return tasks / _timed(work)


def _in_turn(spins: int, each: int) -> float:
    turns = [threading.Lock() for _ in range(CALLERS)]
    for turn in turns:
        turn.acquire()
    done = threading.Barrier(CALLERS + 1)

    def caller(number: int) -> None:
        mine, following = turns[number], turns[(number + 1) % CALLERS]
        for _ in range(each):
            mine.acquire()
            _spin(spins)
            following.release()
        done.wait()

    for number in range(CALLERS):
        threading.Thread(target=caller, args=(number,), daemon=True).start()

    def run() -> None:
        turns[0].release()
        done.wait()

    return CALLERS * each / _timed(run)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
