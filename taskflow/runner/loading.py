"""The app of a child: imported, and what the worker is told about it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..pipe import frames
from ..tasks.app import TaskFlow
from ..tasks.loader import load_app
from ..telemetry.lines import lines as log_lines
from ..telemetry.logs import also_debug, restore
from .patched import patched_by


def hello(app: TaskFlow, hears: Sequence[str] = ()) -> frames.Hello:
    """What the worker is told about the app; `hears`: which of its events the app listens to."""
    tasks = [frames.TaskFacts(task.name, task.queue, task._options.pool or "") for task in app.tasks.values()]
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
        project=str(project.folder) if (project := app._project) is not None else "",
        stores=app._crypto is not None and app._crypto.offload is not None,
        hears=list(hears),
        queues=list(app._queues),
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
