"""A child goes wrong in every way there is; the worker notices, says why, and the other tasks go on."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from taskflow import errors
from taskflow.worker.timings import Timings
from tests.lifecycle.conftest import Ledger
from tests.lifecycle.held import HELD
from tests.servers import wait_until


def test_a_fork_that_outlives_its_killed_child_does_not_hide_its_death(
    hurt: Any, hurt_worker: Any, ledger: Ledger
) -> None:
    """A task used a ProcessPoolExecutor, and the kernel's memory killer chose the child: the pool's process went on and held a
    copy of the child's socket, so the worker believed in the child for ever. Its task stayed active, nothing else ran, and
    health was green. (celery/celery#2011, #3798)
    """
    with hurt_worker(concurrency=2) as process:
        killed = hurt.killed_with_heirs.delay("heirs")
        process.wait_for_log("signal SIGKILL")
        assert hurt.work.delay("next").get(25) == "next"
        with pytest.raises(errors.TaskFailed, match="process died 3 times"):
            killed.get(30)


def test_a_child_whose_socket_is_closed_is_killed_and_its_tasks_go_on(
    hurt: Any, hurt_worker: Any, ledger: Ledger
) -> None:
    """A library closed every descriptor of its process. It lives on and can tell nobody anything."""
    with hurt_worker(concurrency=2, timings=Timings(lost=0.2)) as process:
        neighbour = hurt.work.delay("neighbour", 2.0)
        ledger.wait_for("start", "neighbour")
        closed = hurt.close_everything.delay("closed")
        process.wait_for_log("s after its socket: it is killed")
        assert neighbour.get(30) == "neighbour"
        with pytest.raises(errors.TaskFailed, match="process died 3 times"):
            closed.get(30)


def test_all_tasks_of_a_killed_child_start_again_without_waiting_for_each_other(
    hurt: Any, hurt_worker: Any, ledger: Ledger
) -> None:
    """Suspects waited for each other: four ran again at once, the last of ten when the others had ended, and of twenty tasks of
    ten minutes the last started after 40 minutes, held by a worker that did not run it.
    """
    tags = [f"s{n}" for n in range(20)]
    with hurt_worker(concurrency=20):
        results = [hurt.work.delay(tag, HELD) for tag in tags]
        ledger.wait_for("start", *tags)
        os.kill(ledger.pids("s0")[0], signal.SIGKILL)
        # None of them waits for the end of another.
        wait_until(
            lambda: all(ledger.count("start", tag) == 2 for tag in tags), description="all start again"
        )
        for tag in tags:
            ledger.release(tag)
        assert [result.get(40) for result in results] == tags
    assert len(ledger.lines()) == 60


def test_nineteen_innocents_beside_a_killer_all_complete(hurt: Any, hurt_worker: Any, ledger: Ledger) -> None:
    """All twenty are suspects after the first crash, a group that dies has narrowed it down, the third crash is of one alone."""
    tags = [f"i{n}" for n in range(19)]
    with hurt_worker(concurrency=20):
        innocents = [hurt.work.delay(tag, 2.0) for tag in tags]
        poison = hurt.killer.delay("poison", 1.0)
        ledger.wait_for("start", *tags, "poison")
        with pytest.raises(errors.TaskFailed, match="process died 3 times"):
            poison.get(40)
        assert [result.get(40) for result in innocents] == tags
    assert ledger.count("start", "poison") == 3
    assert max(ledger.count("start", tag) for tag in tags) <= 3
    # The third time it was alone.
    last = ledger.pids("poison")[-1]
    assert not [tag for tag in tags if last in ledger.pids(tag)[-1:]]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can change the limits of another process")
def test_a_child_is_started_again_when_there_are_descriptors_again(
    hurt: Any, hurt_worker: Any, ledger: Ledger
) -> None:
    """Half-open connections to the health port used up all descriptors; a child died, and the start of its replacement raised
    EMFILE inside what watched it. That ended: no child, for good, and `{"ok": true}`.
    """
    with hurt_worker(concurrency=2, timings=Timings(first_restart=0.2)) as process:
        assert hurt.work.delay("first").get(25) == "first"
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        os.kill(ledger.pids("first")[0], signal.SIGKILL)
        process.wait_for_log("A new child could not start: OSError")
        process.wait_for_log(lambda line: "could not start" in line and "trying again in 0.4 s" in line)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
        assert hurt.work.delay("next").get(20) == "next"


def test_a_child_that_dies_at_once_is_started_again_with_a_growing_pause(
    hurt: Any, hurt_worker: Any, ledger: Ledger, tmp_path: Path
) -> None:
    """Each start costs the processor what importing the app costs, and the log a line; ten of them a second helped nobody."""
    mark = tmp_path / "children die"
    environment, pauses = {"TASKFLOW_TEST_CHILDREN_DIE": str(mark)}, Timings(first_restart=0.1)
    with hurt_worker(concurrency=2, environment=environment, timings=pauses) as process:
        assert hurt.work.delay("first").get(25) == "first"
        mark.touch()
        os.kill(ledger.pids("first")[0], signal.SIGKILL)
        process.wait_for_log("3 children in a row died at once; the next is started in 0.1 s")
        process.wait_for_log("4 children in a row died at once; the next is started in 0.2 s")
        mark.unlink()
        assert hurt.work.delay("next").get(20) == "next"


def test_a_reload_starts_children_also_while_none_is_left_and_the_next_would_wait(
    hurt: Any, hurt_worker: Any, ledger: Ledger, tmp_path: Path
) -> None:
    """A broken deploy killed the children one after the other; HUP with the mended code started none, since there was none to
    replace, and the worker stood still for the rest of its pause.
    """
    mark = tmp_path / "children die"
    pauses = Timings(first_restart=60.0, longest_restart=60.0)
    environment = {"TASKFLOW_TEST_CHILDREN_DIE": str(mark)}
    with hurt_worker(concurrency=1, processes=2, environment=environment, timings=pauses) as process:
        assert hurt.work.delay("first").get(25) == "first"
        mark.touch()
        process.signal(signal.SIGHUP)  # the broken deploy
        said = "3 children in a row died at once; the next is started in 60.0 s"
        wait_until(
            lambda: sum(said in line for line in process.log) == 2, description="no child is left", timeout=60
        )
        mark.unlink()
        process.signal(signal.SIGHUP)
        results = [hurt.work.delay(f"next{n}", HELD) for n in range(2)]
        ledger.wait_for("start", "next0", "next1")
        for n in range(2):
            ledger.release(f"next{n}")
        assert [result.get(20) for result in results] == ["next0", "next1"]
    # As many children as there should be: both ran at once.
    assert ledger.pids("next0") != ledger.pids("next1")
