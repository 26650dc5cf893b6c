"""OpenTelemetry: a span where a call is enqueued, one where it runs, and the second is a child of the first, in another process.

The worker: opentelemetry-instrument taskflow worker -A otel_traces     (or set a TracerProvider up in `on_child_start`)
A call:     python otel_traces.py
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind

from taskflow import AsyncResult, CurrentTask, EnqueueCall, TaskFlow

app = TaskFlow("shop")
tracer = trace.get_tracer("shop")


@app.middleware
class Tracing:
    """The names and attributes are those of OpenTelemetry's conventions for messaging."""

    def enqueue(self, call: EnqueueCall, next: Callable[[], AsyncResult]) -> AsyncResult:
        with self.sending(call) as span:
            handle = next()
            span.set_attribute("messaging.message.id", handle.id)
            return handle

    async def aenqueue(self, call: EnqueueCall, next: Callable[[], Awaitable[AsyncResult]]) -> AsyncResult:
        with self.sending(call) as span:
            handle = await next()
            span.set_attribute("messaging.message.id", handle.id)
            return handle

    @contextmanager
    def sending(self, call: EnqueueCall) -> Iterator[Span]:
        attributes = {"messaging.system": "taskflow", "messaging.destination.name": call.queue}
        with tracer.start_as_current_span(
            f"send {call.task}", kind=SpanKind.PRODUCER, attributes=attributes
        ) as span:
            propagate.inject(call.headers)  # before the message is made
            yield span

    def run(self, task: CurrentTask) -> Iterator[None]:
        attributes = {
            "messaging.system": "taskflow",
            "messaging.destination.name": task.queue,
            "messaging.message.id": task.id,
            "taskflow.retried": task.retried,
        }
        parent = propagate.extract(task.headers)
        with tracer.start_as_current_span(
            f"process {task.name}", parent, SpanKind.CONSUMER, attributes=attributes
        ):
            yield


@app.task
def resize(src: str, width: int = 800) -> str:
    """What it does is in the span of its task."""
    with tracer.start_as_current_span("crop"):
        return f"{src} at {width}"


@app.task
async def fetch(url: str) -> str:
    """A coroutine."""
    with tracer.start_as_current_span("download"):
        return url


if __name__ == "__main__":
    with tracer.start_as_current_span("the request"):
        print(resize.delay("a.png"))
