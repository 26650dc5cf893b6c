"""A soft limit in a thread never arrives where it would leave a lock held."""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from taskflow import TaskFlow
from taskflow.errors import TaskCancelled, TaskTimeout
from taskflow.states import Verb
from taskflow.tasks import limits
from taskflow.tasks.delicate import is_delicate
from taskflow.tasks.limits import SoftLimits, ThreadLimit
from tests.servers import wait_until
from tests.worker.attempts import attempts, error_of, take_back
from tests.workers import ROOT

pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*SystemExit:pytest.PytestUnhandledThreadExceptionWarning"  # how the pools' threads are ended
)

app = TaskFlow("limits", broker="redis://127.0.0.1:1")
logger = logging.getLogger("tests.limits")


@app.task(name="logs")
def logs() -> None:
    while True:
        logger.warning("a line")


@app.task(name="plain")
def plain() -> None:
    logger.warning("a line")


class Slow(logging.Handler):
    """The log's lock is held nearly all the time."""

    def emit(self, record: logging.LogRecord) -> None:
        for _ in range(200):
            pass


@pytest.fixture
def slow_log() -> Iterator[None]:
    handler = Slow()
    logger.addHandler(handler)
    logger.propagate = False
    yield
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.usefixtures("slow_log")
def test_tasks_that_log_all_the_time_meet_their_limits_and_leave_no_lock_held() -> None:
    """It came between the `acquire()` of a handler's lock and its `try`: each task that logged afterwards waited for ever."""
    with attempts(app, slots=2) as pools:
        for _ in range(2):
            numbers = [pools.start("logs", timeout=1), pools.start("logs", timeout=1)]
            for number in numbers:
                # Each look has to find the thread outside of its log, where it hardly ever is.
                outcome = pools.outcome(number, timeout=50)
                assert (outcome.verb, error_of(outcome)) == (Verb.RETRY, "time limit of 1 s exceeded")
            assert pools.run("plain").verb == Verb.DONE


class Stage:
    """A thread that stands where it is told to, until it is let go."""

    def __init__(self, stand: Callable[[Callable[[], None]], None]) -> None:
        self.gate = threading.Event()
        self.there = threading.Event()
        self.raised: list[BaseException] = []
        self._stand = stand
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.there.wait(10)

    def _run(self) -> None:
        self.limit = ThreadLimit()
        try:
            self.limit.open(7, time.monotonic() + 60)
            self._stand(self._wait)
            while not self.raised:
                time.sleep(0.001)
        except BaseException as error:  # noqa: BLE001 - what the test looks at
            self.raised.append(error)
        self.limit.close()

    def _wait(self) -> None:
        self.there.set()
        while not self.gate.is_set():
            time.sleep(0.001)

    def end(self) -> None:
        self.gate.set()
        self.thread.join(10)


class Waiting(logging.Handler):
    def __init__(self, wait: Callable[[], None]) -> None:
        super().__init__()
        self._wait = wait

    def emit(self, record: logging.LogRecord) -> None:
        self._wait()


def in_handler(wait: Callable[[], None]) -> None:
    own = logging.Logger("own")
    own.addHandler(Waiting(wait))
    own.warning("a line")


def in_library(wait: Callable[[], None]) -> None:
    """A function that stands in a file of the standard library which takes locks."""
    code = compile(
        "def stand(wait):\n    import time\n    wait.there.set()\n    while not wait.gate.is_set(): pass\n",
        functools.__file__,
        "exec",
    )
    space: dict[str, Callable[[object], None]] = {}
    exec(code, space)
    space["stand"](wait.__self__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("stand", [in_handler, in_library])
def test_an_exception_waits_until_the_thread_is_in_code_of_the_users(stand: Callable[..., None]) -> None:
    stage = Stage(stand)
    try:
        wait_until(
            lambda: is_delicate(stage.thread.ident or 0), description="the thread is where it should be"
        )
        for _ in range(50):
            if is_delicate(stage.thread.ident or 0):
                stage.limit.fire(TaskTimeout)
            assert not stage.raised
        stage.gate.set()
        wait_until(lambda: stage.limit.fire(TaskTimeout), description="it can be raised")
        wait_until(lambda: stage.raised, description="it is raised")
        assert isinstance(stage.raised[0], TaskTimeout)
    finally:
        stage.end()


def test_a_thread_that_waits_for_a_lock_is_no_delicate_place() -> None:
    """It may wait there for ever; an exception comes when the wait returns, and is expected there."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        wait_until(
            lambda: sys._current_frames()[thread.ident or 0].f_code.co_name == "wait", description="it waits"
        )
        assert not is_delicate(thread.ident or 0)
    finally:
        stop.set()
        thread.join()


def test_a_cancel_that_could_not_be_raised_at_once_is_raised_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    places = iter([True, True, True])
    monkeypatch.setattr(limits, "is_delicate", lambda thread: next(places, False))
    stage = Stage(lambda wait: wait())
    watching = SoftLimits()
    watching.watch(stage.limit)
    try:
        watching.cancel(7, TaskCancelled)
        wait_until(lambda: stage.raised, description="it is raised")
        assert isinstance(stage.raised[0], TaskCancelled)
    finally:
        stage.end()
        assert watching._thread is not None
        while watching._thread.is_alive():
            limits._raise_in(watching._thread.ident, id(SystemExit))
            watching._soon.set()
            watching._thread.join(0.1)
        take_back()


PROFILED = """
import sys, threading
from taskflow.errors import TaskTimeout
from taskflow.tasks.limits import ThreadLimit

def raised():
    limit = ThreadLimit()
    limit.open(7, 0)
    try:
        limit.fire(TaskTimeout)
    except TaskTimeout:
        pass
    return limit.close()

assert raised() is TaskTimeout

def run():
    sys.setprofile(lambda *event: None)
    (lambda: None)()

profiled = threading.Thread(target=run)
profiled.start()
profiled.join()
"""


def test_a_process_can_be_profiled_after_a_limit_was_raised_in_it() -> None:
    """On Python 3.11 a thread with a profiler, a debugger or coverage stood still for ever at its next call: after each limit
    nothing was raised in place of what might not have come yet, and a profiled thread looks for that until it is found.
    """
    subprocess.run([sys.executable, "-c", PROFILED], cwd=ROOT, check=True, timeout=30)


def test_a_task_that_ends_while_its_limit_is_being_raised_takes_it_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task takes no lock at its end unless somebody is about to raise something in it: what came a moment later would hit the
    next task of this thread, or the thread itself.
    """
    looked, ended = threading.Event(), threading.Event()

    def is_delicate(thread: int) -> bool:
        looked.set()  # it has seen that the task runs, and raises in a moment
        ended.wait(0.3)
        return False

    monkeypatch.setattr(limits, "is_delicate", is_delicate)
    found: list[object] = []

    def run() -> None:
        try:
            limit = ThreadLimit()
            limit.open(7, 0)
            firing = threading.Thread(target=limit.fire, args=(TaskTimeout,))
            firing.start()
            looked.wait(10)
            found.append(limit.close())
            ended.set()
            firing.join()
            for _ in range(1000):
                pass
        except TaskTimeout:
            found.append("after its end")

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert found == [TaskTimeout]
