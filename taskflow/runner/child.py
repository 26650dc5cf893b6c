"""The child process: loads the app, reads jobs from its socket, and gives them to its pools."""

from __future__ import annotations

import importlib
import os
import socket
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..message.outcome import Outcome
from ..message.wire import wire_message
from ..pipe import frames
from ..pipe.shared_marks import SharedMarks
from ..tasks.app import TaskFlow
from ..tasks.loader import load_app
from ..tasks.returned import may_return_coroutine
from ..tasks.run import Pipeline
from ..telemetry.counts import Tallies
from ..telemetry.lines import lines as log_lines
from ..telemetry.logs import also_debug, restore
from ..telemetry.safe import SafeLogger
from . import process
from .building import Builder
from .outgoing import Outgoing
from .patched import patched_by
from .pool.slots import PoolSlots
from .pool.threads import ThreadPool
from .progress import Progress
from .stacks import stacks

if TYPE_CHECKING:
    from .pool.loop import LoopPool

logger = SafeLogger("taskflow.child")


class Child:
    """One child.

    Args:
        app: whose tasks it runs.
        connection: to the worker.
        marks: shared with the worker.
        slots: how many tasks run at once.
        most: bytes that a result may have, and a message that is built here.
    """

    def __init__(
        self,
        app: TaskFlow,
        connection: socket.socket,
        marks: SharedMarks,
        slots: int,
        most: int = frames.DEFAULT_MOST_MESSAGE,
    ) -> None:
        self._app = app
        self._connection = connection
        tallies = Tallies()
        self._outgoing = Outgoing(connection, tallies.take)
        self._pipeline = Pipeline(
            app.tasks, app._crypto, error_text=app._error_text, most=most, tallies=tallies
        )
        self._builder = Builder(self._pipeline, app._crypto, most, self._outgoing.built)
        shared = PoolSlots(marks, slots)
        self._threads = ThreadPool(
            slots, self._pipeline, shared, self._outgoing.outcome, self._outgoing.returned
        )
        self._threads.finish = lambda attempt, awaitable: self._coroutines().finish(attempt, awaitable)
        self._making = threading.Lock()
        self._shared = shared
        self._loop: LoopPool | None = None
        self._progress = Progress(marks, self._threads, lambda: self._loop)
        self.told_to_end = False
        """Whether the worker has said that this is the end. If not, and the socket closes, the worker has died."""

    def run(self, *, here: bool = False) -> None:
        """Run until the worker closes the socket. `here`: tasks run in the calling thread (`-P solo`)."""
        self._outgoing.send(hello(self._app))
        self._outgoing.start()
        wire_message()  # while the worker starts, and not with the first task
        if any(task.is_async for task in self._app.tasks.values()):
            self._coroutines()  # so that the first of them does not wait for the import
        if here:
            threading.Thread(target=self._read, name="taskflow-reader", daemon=True).start()
            self._threads.run_here()
        else:
            self._read()

    def _read(self) -> None:
        with self._connection.makefile("rb", buffering=1 << 18) as stream:
            while header := stream.read(frames.LENGTH):
                body = stream.read(frames.body_size(header))
                self._handle(frames.decode_from_worker(body))

    def _handle(self, value: frames.FromWorker) -> None:
        match value:
            case frames.Jobs(items):
                log_lines.follow()
                for job in items:
                    self._take(job)
            case frames.Build():
                self._builder.submit(value)
            case frames.Cancel(task_id):
                self._threads.cancel(task_id)
                if self._loop is not None:
                    self._loop.cancel(task_id)
            case frames.Ping(number):
                self._progress.answer(number)
                self._outgoing.pong()
            case frames.End():
                self.told_to_end = True
            case frames.DumpStacks():
                self._outgoing.stacks(stacks(self._loop.loop if self._loop is not None else None))

    def _take(self, job: frames.Job) -> None:
        received = self._pipeline.receive(job)
        if isinstance(received, Outcome):
            self._outgoing.outcome(received)
            self._pipeline.reporter.tell()
        elif received.plan.task.is_async:
            self._coroutines().submit(received)
        else:
            self._threads.submit(received)

    def _coroutines(self) -> LoopPool:
        """The event loop for coroutines, from the first of them on: asyncio takes 9 MB."""
        if self._loop is None:
            from .pool.loop import LoopPool

            with self._making:
                if self._loop is None:
                    done, dropped = self._outgoing.outcome, self._outgoing.returned
                    self._loop = LoopPool(self._pipeline, self._shared, done, dropped)
        return self._loop


def hello(app: TaskFlow) -> frames.Hello:
    """What the worker is told about the app."""
    tasks = [frames.TaskFacts(task.name, task.queue) for task in app.tasks.values()]
    aggregations = [
        frames.Aggregation(
            rule.queue,
            rule.template.encode(),
            rule.grace,
            rule.max_delay,
            rule.max_size,
            closed=app._crypto is not None,
        )
        for rule in app._aggregations.values()
    ]
    return frames.Hello(
        app=app.name,
        broker=app.broker_url,
        tasks=tasks,
        pid=os.getpid(),
        aggregations=aggregations,
        partitions=app._partitions,
    )


def load(spec: str, say: Callable[[Any], None]) -> TaskFlow | None:
    """Import the app; on failure tell the worker why and return None."""
    try:
        app = load_app(spec)
        if library := patched_by():
            raise ConfigurationError(
                f"-A {spec!r}: {library}'s monkey patching is active in the worker's child, which runs tasks in threads and on "
                "an event loop: do not patch where os.environ has TASKFLOW_WORKER; programs that enqueue may be patched"
            )
        if broker := os.environ.get(frames.BROKER_VARIABLE):
            app.use_broker(broker)
        also_debug([spec.partition(":")[0], *(task.__module__ for task in app.tasks.values())])
        restore()
        log_lines.begin()
        return app
    except ConfigurationError as error:
        text = ""
        if error.__cause__ is not None:
            # From the user's module on: how we came to import it helps nobody.
            steps = traceback.TracebackException.from_exception(error.__cause__)
            own = [frame for frame in steps.stack if "importlib" not in frame.filename]
            steps.stack[:] = own[1:] if len(own) > 1 else own
            text = "".join(steps.format())
        say(frames.ImportFailed(str(error), text))
    return None


def main(
    spec: str,
    connection: socket.socket,
    marks: SharedMarks,
    slots: int,
    *,
    here: bool = False,
    most: int = frames.DEFAULT_MOST_MESSAGE,
) -> int:
    """Run a child on this socket until the worker closes it.

    Args:
        spec: `module[:attribute]` of the app.
        connection: to the worker.
        marks: shared with the worker.
        slots: how many tasks run at once.
        here: tasks run in the calling thread, and the process does not end with the socket (`-P solo`).
        most: bytes that a result may have.

    Returns:
        2 when the app could not be imported.
    """
    os.environ["TASKFLOW_WORKER"] = "1"
    app = load(spec, lambda value: connection.sendall(frames.frame(value)))
    if app is None:
        return 2
    if any(task.is_async or may_return_coroutine(task.function) for task in app.tasks.values()):
        # While its file is there: a deployment may remove the folder from under a worker that runs.
        importlib.import_module(f"{__package__}.pool.loop")
    process.keep_from_forks(connection)
    child = Child(app, connection, marks, slots, most)
    try:
        child.run(here=here)
    except ConnectionError:
        pass  # the worker went away, perhaps while the app was being imported
    except frames.BadFrame as error:
        logger.error("The worker wrote what is no frame (%s); this child ends", error)
    if child.told_to_end:
        process.end()
    return process.end_with_everything()
