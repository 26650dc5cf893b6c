"""One attempt in the thread, or on the event loop, of whoever asks for it: for eager mode, and for `taskflow.testing`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any

from ..errors import TaskCancelled
from ..message.outcome import Outcome
from .attempt import Attempt
from .eager_call import TimedCall
from .on_loop import LoopCall, LoopLimits
from .run import Call, Pipeline

_OF_TASKS = (
    Exception,
    BaseExceptionGroup,
    TaskCancelled,
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
)
"""What a task may end with. Anything else is for whoever called it: Ctrl-C, or what ends a test, as `pytest.fail()` does."""


Main = Callable[[], Coroutine[Any, Any, Any]]
"""A coroutine function without arguments."""

Runner = Callable[[Main], Callable[[], Any]]
"""Makes a function of a coroutine function, as asgiref's `async_to_sync`."""


def timed_call() -> Call:
    """How a function is called in this thread, within its soft limit."""
    return TimedCall(_finish).call


def run_here(pipeline: Pipeline, attempt: Attempt, call: Call) -> tuple[Outcome, Context]:
    """Run an attempt at a function in this thread: how it ended, and the context that it had."""
    own = Context()
    return own.run(pipeline.run, attempt, call), own


async def run_on_loop(pipeline: Pipeline, attempt: Attempt, limits: LoopLimits) -> tuple[Outcome, Context]:
    """Run an attempt at a coroutine function on the running event loop, likewise."""
    calls, own = LoopCall(attempt, limits), Context()
    return await _alone(calls, pipeline.arun(attempt, calls.call), own), own


def is_for_the_caller(error: BaseException) -> bool:
    """Whether an exception is no failure of its task but meant for whoever has it run here."""
    return not isinstance(error, _OF_TASKS)


def _finish(attempt: Attempt, awaitable: Any) -> Any:
    """Await what a function has returned, in its context and within its limit."""
    own = copy_context()

    async def main() -> tuple[Any, BaseException | None]:
        calls = LoopCall(attempt, LoopLimits(asyncio.get_running_loop()))
        return await _alone(calls, _caught(calls, awaitable), own)  # type: ignore[no-any-return]

    value, error = on_own_loop(main)
    if error is not None:
        raise error
    return value


async def _caught(calls: LoopCall, awaitable: Any) -> tuple[Any, BaseException | None]:
    try:
        return await calls.finish(awaitable), None
    except BaseException as error:  # noqa: BLE001 - raised again where the function was called
        return None, error


async def _alone(calls: LoopCall, coroutine: Coroutine[Any, Any, Any], context: Context) -> Any:
    """What comes of an attempt in a context of its own. If whoever waits for it is cancelled, so is it."""
    task = calls.start(coroutine, context)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        calls.cancel()
        await asyncio.wait([task])
        raise
    finally:
        calls.ended()
    return task.result()


def on_own_loop(main: Main, run: Runner | None = None) -> Any:
    """Run a coroutine on a loop of its own: in this thread, or as `run` does it, or in another if a loop runs here."""
    if not _is_loop_running():
        return asyncio.run(main()) if run is None else run(main)()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(main())).result()


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
