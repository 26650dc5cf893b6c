"""Between the end of a task and the sending of its outcome, nothing of the user's stops the verdict."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from taskflow import Cancel, Reject, Retry, Snooze, TaskFlow, current_task
from taskflow.errors import NotInTask, TaskCancelled, TaskTimeout
from taskflow.message.task_message import TaskMessage
from taskflow.pipe import frames
from taskflow.states import Verb
from taskflow.tasks.run import Pipeline
from taskflow.telemetry import events
from tests.listening import logged
from tests.servers import wait_until
from tests.worker.attempts import Attempts, attempts, error_of

pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*SystemExit:pytest.PytestUnhandledThreadExceptionWarning"  # how the pools' threads are ended
)

app = TaskFlow("verdicts", broker="redis://127.0.0.1:1")
seen: list[Any] = []
leaking: ContextVar[str] = ContextVar("leaking", default="fresh")


class Unspeakable(Exception):
    """Whatever is asked of it raises, or has no end."""

    def __str__(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        raise SystemExit(3)

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("none of your business")


class Nameless(type):
    """A metaclass that hides the name of its classes."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no name")


class Anonymous(Exception, metaclass=Nameless): ...


class Hollow(ExceptionGroup):
    @property
    def exceptions(self) -> Any:  # type: ignore[override]
        raise RuntimeError("nothing to see")


class Unencodable:
    """What msgspec asks it for raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        raise self.error


def raising(*_: object) -> Any:
    raise SystemExit(4)


def recursing(state: object) -> Any:
    return recursing(state)


@app.task(name="plain")
def plain() -> str:
    return "ok"


@app.task(name="aplain")
async def aplain() -> str:
    return "ok"


ERRORS: dict[str, Callable[[], BaseException]] = {
    "unspeakable": Unspeakable,
    "nameless": Anonymous,
    "hollow": lambda: Hollow("hollow", [ValueError(), Retry()]),
    "exit": lambda: SystemExit(5),
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
}


@app.task(name="fails")
def fails(kind: str) -> None:
    raise ERRORS[kind]()


@app.task(name="afails")
async def afails(kind: str) -> None:
    raise ERRORS[kind]()


@app.task(name="policy-exits", wait=raising)
def policy_exits() -> None:
    raise ValueError


@app.task(name="policy-recurses", retry=recursing)
def policy_recurses() -> None:
    raise ValueError


@app.task(name="odd-result")
def odd_result(kind: str) -> Any:
    return {
        "exit": Unencodable(SystemExit(6)),
        "recursion": Unencodable(RecursionError()),
        "memory": Unencodable(MemoryError()),
    }[kind]


@pytest.fixture
def pools() -> Iterator[Attempts]:
    seen.clear()
    with attempts(app) as pools:
        yield pools


class Broken(logging.Handler):
    """A log handler of the user's whose connection has gone."""

    def handle(self, record: logging.LogRecord) -> bool:
        raise SystemExit(record.getMessage())


@pytest.fixture
def broken_log() -> Iterator[None]:
    logger, handler = logging.getLogger("taskflow"), Broken()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    with logged():
        yield
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.usefixtures("broken_log")
@pytest.mark.parametrize("name", ["plain", "aplain"])
def test_a_log_that_raises_costs_no_verdict_and_no_slot(pools: Attempts, name: str) -> None:
    """The handler of an error tracker raised on the line "succeeded": the thread ended before it had sent the outcome, and after
    as many tasks as there are slots nothing was taken any more.
    """
    for _ in range(4):
        assert pools.run(name).verb == Verb.DONE
    wait_until(lambda: pools.slots._free.qsize() == 1, description="the slot is free")


@pytest.mark.usefixtures("broken_log")
def test_a_log_that_raises_does_not_end_the_reader() -> None:
    """Every record raised, the reader with it: children were started and died ten times a second."""
    pipeline = Pipeline(app.tasks)
    for message in (
        TaskMessage(type="plain", payload=None, id="a", queue="q").encode(),
        TaskMessage(type="unknown", payload=None, id="a", queue="q").encode(),
        TaskMessage(type="plain", payload=None, id="a", queue="q", deadline=1).encode(),
        b"\xff",
    ):
        pipeline.receive(frames.Job(1, "q", b"a", message))


@pytest.mark.parametrize("log", ["quiet", "broken"])
@pytest.mark.parametrize("name", ["fails", "afails"])
@pytest.mark.parametrize("kind", ERRORS)
def test_any_exception_is_a_verdict(
    pools: Attempts, name: str, kind: str, log: str, request: pytest.FixtureRequest
) -> None:
    """An exception of the user's may raise when its text, its class or its traceback is asked for."""
    if log == "broken":
        request.getfixturevalue("broken_log")
    outcome = pools.run(name, b'{"kind":"%s"}' % kind.encode())
    assert outcome.verb in (Verb.RETRY, Verb.ARCHIVE)
    assert pools.run("plain").verb == Verb.DONE


@pytest.mark.parametrize("name", ["policy-exits", "policy-recurses"])
def test_a_retry_policy_that_raises_archives_the_task(pools: Attempts, name: str) -> None:
    assert pools.run(name).verb == Verb.ARCHIVE
    assert pools.run("plain").verb == Verb.DONE


@pytest.mark.parametrize("kind", ["exit", "recursion", "memory"])
def test_a_result_whose_encoding_raises_archives_the_task(pools: Attempts, kind: str) -> None:
    outcome = pools.run("odd-result", b'{"kind":"%s"}' % kind.encode(), retention=60)
    assert outcome.verb == Verb.ARCHIVE
    assert pools.run("plain").verb == Verb.DONE


@app.task(name="stops-the-loop")
async def stops_the_loop(how: str) -> None:
    async def later() -> None:
        if how == "stop":
            asyncio.get_running_loop().stop()
        else:
            sys.exit(7)

    seen.append(asyncio.create_task(later()))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["exit", "stop"])
def test_the_event_loop_goes_on_whatever_a_task_leaves_behind_on_it(pools: Attempts, how: str) -> None:
    """A left-over called `sys.exit()`: the loop ended, and no coroutine of this child ran again."""
    assert pools.run("stops-the-loop", b'{"how":"%s"}' % how.encode()).verb == Verb.DONE
    wait_until(lambda: seen[0].done(), description="the left-over has run")
    assert pools.run("aplain").verb == Verb.DONE


# --- what asked for the end -------------------------------------------------------------------------------------------


@app.task(name="cancelled-inside")
async def cancelled_inside() -> None:
    inner = asyncio.create_task(asyncio.sleep(60))
    asyncio.get_running_loop().call_soon(inner.cancel)
    await inner


@app.task(name="cancelled-in-thread")
def cancelled_in_thread(kind: str) -> None:
    if kind == "futures":
        raise concurrent.futures.CancelledError
    asyncio.run(cancelled_inside.function())


@app.task(name="sleeps")
async def sleeps() -> None:
    seen.append("started")
    await asyncio.sleep(60)


@app.task(name="spins")
def spins() -> None:
    seen.append("started")
    while True:
        try:
            time.sleep(0.001)
        except Exception as error:  # noqa: BLE001 - what the test is about
            seen.append(type(error))


@app.task(name="converts")
async def converts() -> None:
    seen.append("started")
    try:
        await asyncio.sleep(60)
    except BaseException as error:
        raise ValueError("cleaning up failed") from error


def test_a_cancellation_from_inside_is_a_failed_attempt(pools: Attempts) -> None:
    """A sub-task was cancelled; the task was archived as if an operator had cancelled it, and never tried again."""
    outcome = pools.run("cancelled-inside")
    assert (outcome.verb, error_of(outcome)) == (Verb.RETRY, "CancelledError")


@pytest.mark.parametrize("kind", ["futures", "asyncio"])
def test_a_cancellation_from_inside_a_thread_is_a_failed_attempt(pools: Attempts, kind: str) -> None:
    outcome = pools.run("cancelled-in-thread", b'{"kind":"%s"}' % kind.encode())
    assert (outcome.verb, error_of(outcome)) == (Verb.RETRY, "CancelledError")


@pytest.mark.parametrize("name", ["sleeps", "spins", "converts"])
def test_an_operators_cancel_archives_whatever_it_becomes_on_its_way(pools: Attempts, name: str) -> None:
    """Also what `except Exception` would swallow, and what the task turned into an exception of its own."""
    number = pools.start(name)
    wait_until(lambda: seen, description="the task has started")
    pools.cancel(number)
    outcome = pools.outcome(number)
    assert (outcome.verb, error_of(outcome)) == (Verb.ARCHIVE, "cancelled")
    assert seen == ["started"]


def test_a_soft_limit_is_no_oserror_and_a_cancel_no_exception() -> None:
    """`except OSError: try again` swallowed a soft limit, `except Exception` a cancel."""
    assert not issubclass(TaskTimeout, OSError)
    assert not issubclass(TaskCancelled, Exception)


# --- the soft limit, in a coroutine ---------------------------------------------------------------------------------------


@app.task(name="catches")
async def catches(kind: str) -> str:
    try:
        await WAITS[kind]()
    except TaskTimeout as error:
        current = asyncio.current_task()
        assert current is not None
        seen.append((str(error), current.cancelling()))
        async with asyncio.timeout(5):  # what cleans up may wait, too
            await asyncio.sleep(0.01)
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0.01))
        return "caught"
    return "not caught"


async def child() -> None:
    try:
        await asyncio.sleep(60)
    finally:
        seen.append("child ended")


async def in_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(child())


async def in_body_of_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(child())
        await asyncio.sleep(60)


async def in_wait_for() -> None:
    await asyncio.wait_for(child(), 50)


async def in_timeout() -> None:
    async with asyncio.timeout(50):
        await child()


async def in_gather() -> None:
    await asyncio.gather(child(), asyncio.sleep(60))


async def in_task() -> None:
    await asyncio.create_task(child())


WAITS = {
    "sleep": child,
    "group": in_group,
    "wait_for": in_wait_for,
    "timeout": in_timeout,
    "gather": in_gather,
    "task": in_task,
}


@pytest.mark.parametrize("kind", WAITS)
def test_a_soft_limit_is_caught_as_tasktimeout_where_a_coroutine_waits(pools: Attempts, kind: str) -> None:
    """It came as `CancelledError`, which no `except TaskTimeout` catches. What the coroutine waited for is cancelled, so that
    no library leaves anything behind.
    """
    outcome = pools.run("catches", b'{"kind":"%s"}' % kind.encode(), timeout=1, retention=60)
    assert (outcome.verb, outcome.result) == (Verb.COMPLETE, b'"caught"')
    assert seen == ["child ended", ("time limit of 1 s exceeded", 0)]


@app.task(name="overruns-in-group")
async def overruns_in_group() -> None:
    await in_body_of_group()


def test_a_soft_limit_in_the_body_of_a_task_group_ends_the_group(pools: Attempts) -> None:
    """Python 3.11 puts it into an exception group, as whatever a body raises."""
    outcome = pools.run("overruns-in-group", timeout=1)
    assert (outcome.verb, error_of(outcome)) == (Verb.RETRY, "time limit of 1 s exceeded")
    assert seen == ["child ended"]


@app.task(name="overruns")
async def overruns() -> None:
    await asyncio.sleep(60)  # the user's line


@app.task(name="own-timeout")
async def own_timeout() -> None:
    async with asyncio.timeout(0.01):
        await asyncio.sleep(60)


def test_the_log_names_the_users_line_where_a_soft_limit_hit(
    pools: Attempts, caplog: pytest.LogCaptureFixture
) -> None:
    """It named a line of asyncio."""
    outcome = pools.run("overruns", timeout=1)
    assert (outcome.verb, error_of(outcome)) == (Verb.RETRY, "time limit of 1 s exceeded")
    with open(__file__, encoding="utf-8") as source:
        line = next(at for at, text in enumerate(source, 1) if text.endswith("# the user's line\n"))
    wait_until(lambda: "failed" in caplog.text, description="the line")
    assert f"TaskTimeout at {__file__}:{line}" in caplog.text


def test_a_timeout_of_the_users_own_stays_what_it_is(pools: Attempts) -> None:
    assert error_of(pools.run("own-timeout")) == "TimeoutError"


# --- contexts ---------------------------------------------------------------------------------------


@app.task(name="sets")
def sets() -> str:
    found = leaking.get()
    leaking.set("left by another task")
    return found


@app.task(name="asets")
async def asets() -> str:
    return sets.function()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["sets", "asets"])
def test_a_task_does_not_see_what_another_left_in_context_variables(pools: Attempts, name: str) -> None:
    """The user, the tenant or the trace of one task was that of the next."""
    for _ in range(3):
        assert pools.run(name, retention=60).result == b'"fresh"'


@app.task(name="starts-thread")
def starts_thread() -> None:
    def work() -> None:
        try:
            current_task()
        except NotInTask as error:
            seen.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@app.task(name="to-thread")
async def to_thread() -> str:
    return (await asyncio.to_thread(current_task)).id


def test_current_task_in_a_thread_of_the_tasks_own_says_how_to_take_it_along(pools: Attempts) -> None:
    pools.run("starts-thread")
    assert "contextvars.copy_context().run" in seen[0]
    assert "asyncio.to_thread" in seen[0]


def test_current_task_is_known_in_asyncio_to_thread(pools: Attempts) -> None:
    assert pools.run("to-thread", retention=60).result == b'"t1"'


# --- groups of exceptions --------------------------------------------------------------------------------------------------


async def fail_with(error: BaseException) -> None:
    raise error


VERDICTS: dict[str, tuple[list[BaseException], str, str]] = {
    "retry": ([Retry("later", delay=7)], Verb.RETRY, "later"),
    "the longest retry": ([Retry("soon", delay=1), Retry("later", delay=7)], Verb.RETRY, "later"),
    "retry before failures": ([ValueError("x"), Retry("later", delay=7), OSError("y")], Verb.RETRY, "later"),
    "reject before retry": ([Retry("later", delay=7), Reject("never")], Verb.ARCHIVE, "never"),
    "nested": ([ExceptionGroup("inner", [Reject("never")])], Verb.ARCHIVE, "never"),
    "cancel before reject": ([Reject("never"), Cancel("withdrawn")], Verb.ARCHIVE, "withdrawn"),
    "the longest snooze": ([Snooze(1), ExceptionGroup("inner", [Snooze(delay=7)])], Verb.SNOOZE, ""),
    "retry before snooze": ([Snooze(60), Retry("later", delay=7)], Verb.RETRY, "later"),
    "a failure before snooze": (
        [Snooze(60), ValueError("x")],
        Verb.ARCHIVE,
        "unhandled errors in a TaskGroup (2 sub-exceptions)",
    ),
}


@app.task(name="in-group", dont_autoretry_for=(ExceptionGroup,))
async def in_group_of(kind: str) -> None:
    async with asyncio.TaskGroup() as group:
        for error in VERDICTS[kind][0]:
            group.create_task(fail_with(error))


@pytest.mark.parametrize("kind", VERDICTS)
def test_a_verdict_inside_an_exception_group_is_seen(pools: Attempts, kind: str) -> None:
    """`raise Retry(delay=7)` in a TaskGroup was an ordinary failure."""
    _, verb, text = VERDICTS[kind]
    outcome = pools.run("in-group", b'{"kind":"%s"}' % kind.encode())
    assert (outcome.verb, error_of(outcome) if outcome.message else "") == (verb, text)
    assert outcome.delay == (7 if verb in (Verb.RETRY, Verb.SNOOZE) else 0)


# --- snooze and cancel -----------------------------------------------------------------------------------------------------


@app.task(name="not-now")
def not_now(seconds: float) -> None:
    raise Snooze(delay=seconds)


@pytest.mark.parametrize(("seconds", "delay"), [(90.5, 90.5), (-3, 0), (1e300, 100 * 366 * 86400)])
def test_a_snooze_is_no_failed_attempt(pools: Attempts, seconds: float, delay: float) -> None:
    """It spends no retry, leaves no record, and is not counted: neither as a failure nor as a success."""
    outcome = pools.run("not-now", b'{"seconds":%a}' % seconds, unique_key="asynq:{q}:unique:x")
    assert (outcome.verb, outcome.delay) == (Verb.SNOOZE, delay)
    assert (outcome.message, outcome.error, outcome.attempt) == (b"", "", None)
    assert outcome.lock == "asynq:{q}:unique:x", "so that it lasts until the task has run"


def test_a_task_that_cancels_itself_is_archived_with_its_reason(pools: Attempts) -> None:
    told: list[events.Event] = []
    detach = events.attach(told.append, [events.Cancelled, events.Archived])
    try:
        outcome = pools.run("withdrawn", max_retries=5)
        wait_until(lambda: len(told) == 2, description="the events")
    finally:
        detach()
    assert (outcome.verb, error_of(outcome), outcome.error) == (Verb.ARCHIVE, "gone", '{"type": "Cancel"}')
    assert [type(event) for event in told] == [events.Cancelled, events.Archived]


@app.task(name="withdrawn")
def withdrawn() -> None:
    raise Cancel("gone")
