"""structlog: whatever a task logs has its name and id, also in the functions that it calls.

The worker: taskflow worker -A structlog_lines
A call:     python structlog_lines.py
"""

import structlog

from taskflow import CurrentTask, TaskFlow
from taskflow.events import Archived, Succeeded

app = TaskFlow("shop")
log = structlog.get_logger()


@app.on_child_start
def configure() -> None:
    """In the processes that run tasks; the program that enqueues has its own way of logging."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ]
    )


@app.middleware
def bound(task: CurrentTask):
    """Nothing has to be taken back: each task runs in a context of its own."""
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task.id, retried=task.retried)
    yield


@app.on(Succeeded, Archived)
def say(event: Succeeded | Archived) -> None:
    """Events of a task are told in its context, so these lines have its id, too."""
    log.info("task ended", outcome=type(event).__name__, seconds=event.seconds)


@app.task
def resize(src: str) -> str:
    log.info("resizing", src=src)
    return f"small {src}"


@app.task
async def fetch(url: str) -> str:
    log.info("fetching", url=url)
    return url


if __name__ == "__main__":
    print(resize.delay("a.png"), fetch.delay("https://example.org"))
