"""What a child counts of its tasks, and what a worker makes of it."""

from __future__ import annotations

import threading

from taskflow.telemetry.counts import Tallies, TaskCount, Totals


def test_a_batch_has_one_count_for_each_name_that_ran() -> None:
    tallies = Tallies()
    for seconds in (0.25, 0.5):
        tallies.of("resize").succeeded.append(seconds)
    tallies.of("resize").failed.append(1.0)
    tallies.of("mail").succeeded.append(2.0)
    assert tallies.take() == [TaskCount("resize", 3, 1, 1.75, 1.0), TaskCount("mail", 1, 0, 2.0, 2.0)]
    assert tallies.take() == []


def test_totals_add_up_over_batches_and_children() -> None:
    totals = Totals()
    totals.add([TaskCount("resize", 3, 1, 1.75, 1.0)])
    totals.add([TaskCount("mail", 1, 0, 2.0, 2.0), TaskCount("resize", 1, 1, 0.5, 0.5)])
    assert totals.all() == [TaskCount("resize", 4, 2, 2.25, 1.0), TaskCount("mail", 1, 0, 2.0, 2.0)]
    assert totals.sum() == TaskCount("", 5, 2, 4.25, 2.0)


def test_nothing_is_counted_twice_or_lost_while_threads_go_on() -> None:
    tallies, totals = Tallies(), Totals()
    each = 20_000

    def work() -> None:
        for _ in range(each):
            tallies.of("resize").succeeded.append(1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        totals.add(tallies.take())
    totals.add(tallies.take())
    assert totals.sum() == TaskCount("", 4 * each, 0, 4.0 * each, 1.0)
