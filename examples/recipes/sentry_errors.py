"""Sentry: each task that fails is an event there, with the task's name and tags, and in the trace of whoever enqueued it.

The worker: SENTRY_DSN=https://… taskflow worker -A sentry_errors
A call:     python sentry_errors.py
"""

import os
from collections.abc import Callable, Iterator

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger

from taskflow import AsyncResult, CurrentTask, EnqueueCall, TaskFlow
from taskflow.errors import TaskVerdict
from taskflow.events import Archived, Poisonous, Retried

TRACE_HEADERS = ("sentry-trace", "baggage")


def connect(dsn: str | None = os.environ.get("SENTRY_DSN"), **more: object) -> None:
    """Without the local variables of frames, which are the arguments of tasks."""
    sentry_sdk.init(dsn=dsn, include_local_variables=False, traces_sample_rate=1.0, **more)


connect()
ignore_logger("taskflow.task")  # or each failure came twice: from the log, and from `report` below
app = TaskFlow("shop")


@app.middleware
class Traces:
    """The trace goes on in the worker. Leave it out where errors are all that is wanted."""

    def enqueue(self, call: EnqueueCall, next: Callable[[], AsyncResult]) -> AsyncResult:
        with sentry_sdk.start_span(op="queue.publish", name=call.task):
            found = {"sentry-trace": sentry_sdk.get_traceparent(), "baggage": sentry_sdk.get_baggage()}
            call.headers.update({name: value for name, value in found.items() if value})
            return next()

    def run(self, task: CurrentTask) -> Iterator[None]:
        headers = {name: task.headers[name] for name in TRACE_HEADERS if name in task.headers}
        transaction = sentry_sdk.continue_trace(headers, op="queue.process", name=task.name)
        with sentry_sdk.isolation_scope(), sentry_sdk.start_transaction(transaction):
            yield


@app.on(Archived, Retried)
def report(event: Archived | Retried) -> None:
    """Not what a task says of itself: `raise Retry(...)` and `Reject(...)` are verdicts, and no errors."""
    if event.error is None or isinstance(event.error, TaskVerdict):
        return
    with sentry_sdk.new_scope() as scope:
        scope.set_transaction_name(event.task, source="task")
        scope.set_tags({"task": event.task, "queue": event.queue, "retried": event.retried})
        scope.set_tag("final", isinstance(event, Archived))
        scope.set_context("task", {"id": event.id})
        scope.set_level("error" if isinstance(event, Archived) else "warning")
        scope.capture_exception(event.error)


@app.on(Poisonous)
def report_crashes(event: Poisonous) -> None:
    """It has ended its process several times: there is no exception."""
    with sentry_sdk.new_scope() as scope:
        scope.set_tags({"task": event.task, "queue": event.queue})
        scope.capture_message(f"Task {event.task} has crashed {event.crashes} processes", level="fatal")


@app.on_child_stop
def flush() -> None:
    """What is still to be sent."""
    sentry_sdk.flush(timeout=2)


@app.task(max_retries=0)
def charge(card: str, amount: int) -> None:
    """An example that fails."""
    raise ConnectionError("the bank does not answer")


if __name__ == "__main__":
    print(charge.delay(card="4242 4242 4242 4242", amount=7))
