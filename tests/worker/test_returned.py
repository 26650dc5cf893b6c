"""What a task returns: nothing that is to be awaited, or of which nothing has run, is ever a success."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from taskflow import TaskFlow, current_task
from taskflow.errors import InvalidSignature, LazyResult, TaskFailed
from taskflow.states import Verb
from tests.servers import wait_until
from tests.worker.attempts import Attempts, attempts, error_of

pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*SystemExit:pytest.PytestUnhandledThreadExceptionWarning"  # how the pools' threads are ended
)

seen: list[Any] = []
variable: ContextVar[str] = ContextVar("variable", default="")


def plain_decorator(function: Callable[..., Any]) -> Callable[..., Any]:
    """As there are thousands: it knows nothing of coroutines."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        variable.set("of the wrapper")
        return function(*args, **kwargs)

    return wrapper


def runs_it(function: Callable[..., Any]) -> Callable[..., Any]:
    """One that does: it must go on working, so it may not be called on a loop."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(function(*args, **kwargs))

    return wrapper


class Called:
    async def __call__(self) -> str:
        return "called"


def declare(app: TaskFlow) -> None:
    @app.task(name="decorated")
    @plain_decorator
    async def decorated() -> str:
        await asyncio.sleep(0)
        seen.append("ran")
        return f"{current_task().name} {variable.get()}"

    @app.task(name="runs-itself")
    @runs_it
    async def runs_itself() -> str:
        return "ran"

    app.task(name="called")(Called())

    @app.task(name="twice")
    async def twice() -> Any:
        async def inner() -> str:
            return "inner"

        return inner()

    @app.task(name="overruns")
    @plain_decorator
    async def overruns() -> None:
        seen.append("started")
        await asyncio.sleep(60)

    @app.task(name="fails", max_retries=1)
    @plain_decorator
    async def fails() -> None:
        raise ValueError("of the coroutine")

    @app.task(name="lazy")
    def lazy(kind: str) -> Any:
        return {"generator": (n for n in ()), "map": map(seen.append, [1]), "async": aitems()}[kind]

    @app.task(name="alazy")
    async def alazy() -> Any:
        return (n for n in ())

    @app.task(name="handle")
    def handle() -> Any:
        """Of another task, which runs by itself."""
        return app.result("another", queue="q")


async def aitems() -> AsyncIterator[int]:
    yield 1


app = TaskFlow("returned", broker="redis://127.0.0.1:1")
declare(app)


@pytest.fixture
def pools() -> Iterator[Attempts]:
    seen.clear()
    with attempts(app) as pools:
        yield pools


def test_a_coroutine_behind_a_plain_decorator_is_run(pools: Attempts) -> None:
    """It "succeeded in 0.0000s", and not one line had run. Its context is that of the attempt."""
    outcome = pools.run("decorated", retention=60)
    assert (outcome.verb, outcome.result) == (Verb.COMPLETE, b'"decorated of the wrapper"')
    assert seen == ["ran"]


@pytest.mark.parametrize(
    ("name", "result"), [("runs-itself", b'"ran"'), ("called", b'"called"'), ("twice", b'"inner"')]
)
def test_whatever_is_to_be_awaited_is(pools: Attempts, name: str, result: bytes) -> None:
    assert pools.run(name, retention=60).result == result


def test_what_is_awaited_has_the_limits_of_its_task(pools: Attempts) -> None:
    outcome = pools.run("overruns", timeout=1)
    assert (outcome.verb, error_of(outcome)) == (Verb.RETRY, "time limit of 1 s exceeded")


def test_what_is_awaited_can_be_cancelled(pools: Attempts) -> None:
    number = pools.start("overruns")
    wait_until(lambda: seen, description="it has started")
    pools.cancel(number)
    outcome = pools.outcome(number)
    assert (outcome.verb, error_of(outcome)) == (Verb.ARCHIVE, "cancelled")


def test_what_is_awaited_may_fail(pools: Attempts) -> None:
    outcome = pools.run("fails")
    assert (outcome.verb, error_of(outcome)) == (Verb.RETRY, "of the coroutine")


@pytest.mark.parametrize("retention", [0, 60])
@pytest.mark.parametrize("kind", ["generator", "map", "async", "of a coroutine"])
def test_what_has_not_run_is_a_failure_that_says_so(pools: Attempts, kind: str, retention: int) -> None:
    name, payload = (
        ("alazy", None) if kind == "of a coroutine" else ("lazy", b'{"kind":"%s"}' % kind.encode())
    )
    outcome = pools.run(name, payload, retention=retention)
    assert outcome.verb == Verb.ARCHIVE
    assert "has not run" in error_of(outcome)


def test_the_handle_of_another_task_is_not_waited_for(pools: Attempts) -> None:
    assert pools.run("handle").verb == Verb.DONE


def test_a_generator_function_is_refused_where_it_is_declared() -> None:
    """A call of it runs nothing."""

    def items() -> Iterator[int]:
        yield 1

    class Items:
        def __call__(self) -> Iterator[int]:
            yield 1

    for one in (items, aitems, functools.partial(items), Items()):
        with pytest.raises(InvalidSignature, match="generator function"):
            app.task(name="refused")(one)


# --- eager ---------------------------------------------------------------------------------------------


@pytest.fixture
def eager() -> Iterator[TaskFlow]:
    seen.clear()
    eager = TaskFlow("eager", eager=True, retention=60)
    declare(eager)
    yield eager
    eager.close()


@pytest.mark.parametrize("name", ["decorated", "runs-itself", "called", "twice"])
def test_eager_mode_awaits_the_same(eager: TaskFlow, name: str) -> None:
    assert eager.tasks[name].delay().get()


def test_eager_mode_awaits_inside_a_running_loop(eager: TaskFlow) -> None:
    async def main() -> Any:
        return await eager.tasks["decorated"].adelay(), eager.tasks["decorated"].delay()

    first, second = asyncio.run(main())
    assert first.get() == second.get() == "decorated of the wrapper"


def test_eager_mode_refuses_the_same(eager: TaskFlow) -> None:
    with pytest.raises(TaskFailed, match="has not run") as caught:
        eager.tasks["lazy"].delay(kind="map").get()
    assert isinstance(caught.value.__cause__, LazyResult)
    with pytest.raises(TaskFailed, match="has not run"):
        eager.tasks["alazy"].delay().get()
