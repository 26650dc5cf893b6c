"""The child process: reads jobs from its socket, and gives them to its pools."""

from __future__ import annotations

import importlib
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from ..message.outcome import Outcome
from ..message.wire import wire_message
from ..pipe import frames
from ..pipe.shared_marks import SharedMarks
from ..tasks.app import TaskFlow
from ..tasks.attempt import Attempt
from ..tasks.returned import may_return_coroutine
from ..tasks.run import Pipeline
from ..telemetry.counts import Tallies
from ..telemetry.lines import lines as log_lines
from ..telemetry.safe import SafeLogger
from . import process
from .building import Builder
from .lifecycle import Lifecycle
from .loading import hello, load
from .outgoing import Outgoing
from .pool.slots import PoolSlots
from .pool.threads import ThreadPool
from .progress import Progress
from .stacks import stacks

if TYPE_CHECKING:
    import asyncio

    from .pool.loop import LoopPool

logger = SafeLogger("taskflow.child")

Place = Literal["threads", "main", "debugged"]
"""Where functions run: in threads; in the main thread, one at a time, where signals reach them (`-P processes`); or in the
calling thread of a process that does not end with the socket (`-P solo`).
"""

LEAVE_SECONDS = 0.1
"""That the main thread has to end the process, once its worker has said so: `atexit` functions expect to be called there."""


class Child:
    """One child.

    Args:
        app: whose tasks it runs.
        connection: to the worker.
        marks: shared with the worker.
        slots: how many tasks run at once.
        most: bytes that a result may have, and a message that is built here.
        limited: whether time limits hold.
        loop: where coroutines run, if it is not one of the child's own.
    """

    def __init__(
        self,
        app: TaskFlow,
        connection: socket.socket,
        marks: SharedMarks,
        slots: int,
        most: int = frames.DEFAULT_MOST_MESSAGE,
        limited: bool = True,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._own_loop = loop
        self._app = app
        self._connection = connection
        tallies = Tallies()
        self._outgoing = Outgoing(connection, tallies.take)
        self._pipeline = Pipeline(
            app.tasks,
            app._crypto,
            error_text=app._error_text,
            most=most,
            tallies=tallies,
            audience=app._audience,
            on_report=self._outgoing.report,
            limited=limited,
        )
        self._builder = Builder(app, self._pipeline, most, self._outgoing.built)
        shared = PoolSlots(marks, slots)
        self._threads = ThreadPool(
            slots, self._pipeline, shared, self._outgoing.outcome, self._outgoing.returned
        )
        self._threads.finish = lambda attempt, awaitable: self._coroutines().finish(attempt, awaitable)
        self._making = threading.Lock()
        self._shared = shared
        self._loop: LoopPool | None = None
        self._progress = Progress(marks, self._threads, lambda: self._loop)
        self._lifecycle = Lifecycle(app, lambda coroutine: self._coroutines().wait_for(coroutine))
        self._left = threading.Event()
        """Whether the main thread has nothing more to run, and ends the process."""
        self.told_to_end = False
        """Whether the worker has said that this is the end. If not, and the socket closes, the worker has died."""

    def start(self) -> bool:
        """Call the app's hooks of the start; False: one has failed, which the worker has been told."""
        failed = self._lifecycle.start()
        if failed is not None:
            self._outgoing.send(failed)
        return failed is None

    def run(self, place: Place = "threads") -> None:
        """Run until the worker closes the socket; in the debugger's thread for ever."""
        self._outgoing.send(hello(self._app, self._lifecycle.hears()))
        self._outgoing.start()
        wire_message()  # while the worker starts, and not with the first task
        if any(task.is_async for task in self._app.tasks.values()):
            self._coroutines()  # so that the first of them does not wait for the import
        if place == "threads":
            self._read()
            return
        work = self._threads.lend(by_signal=place == "main")
        reader = threading.Thread(
            target=self._read_beside, args=(place,), name="taskflow-reader", daemon=True
        )
        reader.start()
        work()
        self._left.set()

    def _read_beside(self, place: Place) -> None:
        """Read in a thread of its own, and let the main thread go when there is nothing more to come."""
        try:
            self._read()
        except (ConnectionError, frames.BadFrame) as error:
            _say_broken(error)
        if place == "main":
            self._threads.leave()
            if not (self.told_to_end and self._left.wait(LEAVE_SECONDS)):
                self.end()  # here: the main thread runs a task, which was given back

    def end(self) -> NoReturn:
        """End the process, as its worker has said, or since it has gone."""
        if self.told_to_end:
            process.end(self.stop)
        process.end_with_everything()

    def leave(self) -> None:
        """The worker has ended, and the process goes on: nothing more is run, sent or built."""
        self._threads.leave()
        self._pipeline.desk.close()
        self._outgoing.end()
        self._builder.end()

    def interrupt(self) -> bool:
        """After `leave`, on the event loop: ask what runs to end; whether something has not yet."""
        runs = self._loop is not None and self._loop.interrupt()
        others = (self._outgoing.thread, self._builder.thread, self._pipeline.desk.thread)
        alive = any(thread is not None and thread.is_alive() for thread in others)
        return bool(self._threads.interrupt()) or runs or alive

    def stop(self) -> None:
        """Do what the app wants to have done at the end of its child."""
        self._lifecycle.stop()

    def _read(self) -> None:
        with self._connection.makefile("rb", buffering=1 << 18) as stream:
            while header := stream.read(frames.LENGTH):
                body = stream.read(frames.body_size(header))
                self._handle(frames.decode_from_worker(body))

    def _handle(self, value: frames.FromWorker) -> None:
        match value:
            case frames.Jobs(items):
                log_lines.follow()
                self._take(items)
            case frames.Build() | frames.Tidy():
                self._builder.submit(value)
            case frames.Cancel(number):
                self._cancel(number)
            case frames.Ping(number):
                self._progress.answer(number)
                self._outgoing.pong()
            case frames.Told(items):
                self._lifecycle.told(items)
            case frames.End():
                self.told_to_end = True
            case frames.DumpStacks():
                self._outgoing.stacks(stacks(self._loop.loop if self._loop is not None else None))

    def _cancel(self, number: int) -> None:
        """Cancel a job. First it is noted, so that one which has not started does not, and then it is raised where it runs."""
        self._pipeline.desk.cancel(number)
        self._threads.cancel(number)
        if self._loop is not None:
            self._loop.cancel(number)

    def _take(self, jobs: list[frames.Job]) -> None:
        functions: list[Attempt] = []
        for received in map(self._pipeline.receive, jobs):
            if isinstance(received, Outcome):
                self._outgoing.outcome(received)
                self._pipeline.reporter.tell()
            elif received.plan.task.is_async:
                self._coroutines().submit(received)
            else:
                functions.append(received)
        self._threads.submit(*functions)

    def _coroutines(self) -> LoopPool:
        """The event loop for coroutines, from the first of them on: asyncio takes 9 MB."""
        if self._loop is None:
            from .pool.loop import LoopPool

            with self._making:
                if self._loop is None:
                    done, dropped = self._outgoing.outcome, self._outgoing.returned
                    self._loop = LoopPool(self._pipeline, self._shared, done, dropped, self._own_loop)
        return self._loop


def main(
    spec: str,
    connection: socket.socket,
    marks: SharedMarks,
    slots: int,
    *,
    place: Place = "threads",
    leaving: Callable[[], None] = lambda: None,
    most: int = frames.DEFAULT_MOST_MESSAGE,
    limited: bool = True,
) -> int:
    """Run a child on this socket until the worker closes it; then its process ends.

    Args:
        spec: `module[:attribute]` of the app.
        connection: to the worker.
        marks: shared with the worker.
        slots: how many tasks run at once.
        place: where functions run.
        leaving: called when this thread is brought out of it (`-P solo`), before the hooks of the stop.
        most: bytes that a result may have.
        limited: whether time limits hold.

    Returns:
        2 when the app could not be imported, or a hook of its start failed.
    """
    app = prepare(spec, lambda value: connection.sendall(frames.frame(value)))
    if app is None:
        return 2
    return work(app, connection, marks, slots, place=place, leaving=leaving, most=most, limited=limited)


def prepare(spec: str, say: Callable[[Any], None]) -> TaskFlow | None:
    """Import the app and what its tasks need; on failure tell the worker why and return None."""
    os.environ["TASKFLOW_WORKER"] = "1"
    app = load(spec, say)
    if app is not None and any(
        task.is_async or may_return_coroutine(task.function) for task in app.tasks.values()
    ):
        # While its file is there: a deployment may remove the folder from under a worker that runs.
        importlib.import_module(f"{__package__}.pool.loop")
    return app


def work(
    app: TaskFlow,
    connection: socket.socket,
    marks: SharedMarks,
    slots: int,
    *,
    place: Place = "threads",
    leaving: Callable[[], None] = lambda: None,
    most: int = frames.DEFAULT_MOST_MESSAGE,
    limited: bool = True,
) -> int:
    """Run a child whose app has been imported; the arguments, and what is returned, are those of `main`."""
    process.keep_from_forks(connection)
    child = Child(app, connection, marks, slots, most, limited)
    try:
        if not child.start():
            return 2
        child.run(place)
    except (ConnectionError, frames.BadFrame) as error:
        _say_broken(error)
    except BaseException:
        leaving()
        process.within_bounds(child.stop)
        raise
    return child.end()


def _say_broken(error: Exception) -> None:
    if isinstance(error, frames.BadFrame):
        logger.error("The worker wrote what is no frame (%s); this child ends", error)
    # Else the worker went away, perhaps while the app was being imported.
