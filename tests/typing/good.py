"""What a type checker must accept, with the types that it must find. Checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, assert_type

from fastapi import FastAPI
from starlette.applications import Starlette
from tenacity import retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_exponential_jitter

from taskflow import (
    INJECTED,
    AsyncInspector,
    AsyncResult,
    AsyncTask,
    CurrentTask,
    Depends,
    EnqueueCall,
    Inspector,
    LogLine,
    LogLines,
    MapResult,
    Progress,
    Reject,
    ResultInfo,
    Retry,
    State,
    StateChanged,
    Task,
    TaskFlow,
    Verdict,
    current_task,
    shared_task,
)
from taskflow.contrib.fastapi import lifespan
from taskflow.errors import DuplicateTask, TaskFailed, TaskFlowError
from taskflow.events import Retried, Succeeded
from taskflow.inspector import QueueInfo, TaskInfo

app = TaskFlow("shop", broker="redis://127.0.0.1:6379", max_retries=3, retention=timedelta(hours=1))


@app.task
def plain(src: str, width: int = 800) -> str:
    return f"{src} at {width}"


@app.task(queue="images", name="images:resize", max_retries=5, timeout=30, hard_timeout=timedelta(minutes=1))
def resize(src: str, width: int = 800, *, crop: bool = False) -> str:
    return f"{src} at {width}, {crop}"


@app.task()
def nothing() -> None:
    return None


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@app.task(queue="web")
async def fetch_many(urls: list[str]) -> dict[str, int]:
    return dict.fromkeys(urls, 200)


@app.task(bind=True)
def bound(self: CurrentTask, number: int) -> int:
    if self.retried < 3:
        self.retry("not yet", delay=timedelta(seconds=5))
    return number


@app.task(bind=True, queue="web")
async def bound_async(self: CurrentTask, number: int) -> list[int]:
    return [number, self.max_retries]


@app.task(
    wait=wait_exponential_jitter(max=600),
    stop=stop_after_attempt(5) | stop_after_delay(3600),
    retry=retry_if_exception_type(OSError),
)
def tenacious(order: int) -> float:
    if order < 0:
        raise Reject("no such order")
    if order == 0:
        raise Retry("later", delay=30)
    return order / 2


@app.task(autoretry_for=(OSError,), retry_backoff=True, retry_backoff_max=60, retry_jitter=False)
def celery_like(order: int, tags: list[str] | None = None) -> bool:
    return current_task().id != str(order) and tags is None


@app.task
def keywords(to: int, from_: int, **more: str) -> dict[str, str]:
    return more


# What the decorator makes.
assert_type(plain("a.png"), str)
assert_type(plain("a.png", width=100), str)
assert_type(resize("a.png", 100, crop=True), str)
assert_type(bound(3), int)
coroutine: Coroutine[Any, Any, bytes] = fetch("https://example.org")
resize_as_task: Task[..., str] = resize
fetch_as_task: AsyncTask[[str], bytes] = fetch

# .delay() and its handle.
assert_type(resize.delay("a.png"), AsyncResult[str])
assert_type(resize.delay("a.png", 100, crop=True), AsyncResult[str])
assert_type(resize.delay(src="a.png").get(), str)
assert_type(resize.delay("a.png").get(timeout=10), str)
assert_type(nothing.delay(), AsyncResult[None])
assert_type(fetch.delay("https://example.org"), AsyncResult[bytes])
assert_type(fetch.delay("https://example.org").get(), bytes)
assert_type(fetch_many.delay(["https://example.org"]).get(), dict[str, int])
assert_type(bound.delay(3), AsyncResult[int])
assert_type(bound_async.delay(number=3), AsyncResult[list[int]])
assert_type(tenacious.delay(1), AsyncResult[float])
assert_type(celery_like.delay(1, tags=["a"]), AsyncResult[bool])
assert_type(keywords.delay(1, from_=2, reason="three").get(), dict[str, str])
assert_type(resize.delay("a.png").state, State | None)
assert_type(resize.delay("a.png").info(), ResultInfo)
assert_type(resize.delay("a.png").id, str)

# Options, ours and Celery's.
assert_type(
    resize.options(delay=60, unique=3600, queue="slow", id="order-1").delay("a.png"), AsyncResult[str]
)
assert_type(resize.options(eta=datetime.now(UTC), headers={"trace": "1"}).delay("a.png"), AsyncResult[str])
assert_type(resize.options(retention=600).options(delay=timedelta(days=1)).delay("a.png").get(), str)
assert_type(resize.apply_async(("a.png",), {"width": 100}, countdown=60), AsyncResult[str])
assert_type(resize.apply_async(["a.png"], expires=60.5, task_id="order-1"), AsyncResult[str])
assert_type(nothing.apply_async(), AsyncResult[None])

assert_type(nothing.apply_async(None, None), AsyncResult[None])

# Modules with tasks.
app.autodiscover_tasks()
app.autodiscover_tasks(["shop", "blog.apps.BlogConfig"], related_name="jobs")
app.autodiscover_tasks(lambda: ["shop"], None, force=True)

# Many at once.
outcomes = resize.map([("a.png",), ("b.png", 100)])
assert_type(outcomes, MapResult[str])
assert_type(outcomes.results[0].get(), str)
assert_type(outcomes[0].error, TaskFlowError | None)
assert_type(resize.map([{"src": "a.png"}]).results, list[AsyncResult[str]])

# By name, and from another process: nobody knows the type.
assert_type(app.send("images:resize", src="a.png"), AsyncResult[Any])
assert_type(app.send("images:resize", "a.png", queue="slow"), AsyncResult[Any])
assert_type(app.send_task("mail", kwargs={"to": 1}, countdown=60, queue="slow"), AsyncResult[Any])
assert_type(app.result("order-1", queue="images"), AsyncResult[Any])
assert_type(app.result("order-1"), AsyncResult[Any])
assert_type(app.AsyncResult("order-1"), AsyncResult[Any])
assert_type(AsyncResult("order-1"), AsyncResult[Any])
assert_type(AsyncResult("order-1", app=app, queue="images").get(), Any)
assert_type(resize.result("order-1").get(), str)
assert_type(fetch.AsyncResult("order-1"), AsyncResult[bytes])

# What a handle knows.
handle = resize.delay("a.png")
assert_type(handle.ready(), bool)
assert_type(handle.successful(), bool)
assert_type(handle.status, str | None)
assert_type(handle.result, str | TaskFailed | None)
assert_type(handle.date_done, datetime | None)
assert_type(handle.retries, int | None)
assert_type(handle.wait(5), str)
assert_type(handle.info().progress, Progress | None)
assert_type(handle.info().lines, tuple[LogLine, ...])
for event in handle.watch(timeout=5):
    match event:
        case Progress(done=done, total=total):
            assert_type(done, float)
            assert_type(total, float | None)
        case LogLines(lines=lines):
            assert_type(lines[0].text, str)
        case StateChanged():
            assert_type(event.state, State)
        case Verdict():
            assert_type(event.succeeded, bool | None)


async def ask_from_asyncio() -> None:
    assert_type(await handle.aready(), bool)
    assert_type(await handle.aresult(), str | TaskFailed | None)
    assert_type(await handle.astatus(), str | None)
    assert_type(await handle.astate(), State | None)
    await handle.aforget()
    async for event in handle.watch():
        assert_type(event, Progress | LogLines | StateChanged | Verdict)
    assert_type(await app.asend("mail", to=1), AsyncResult[Any])
    assert_type(await app.asend_task("mail", kwargs={"to": 1}), AsyncResult[Any])


# Queues, tasks and workers.
assert_type(app.inspector, Inspector)
assert_type(app.inspector.queue("images"), QueueInfo)
assert_type(app.inspector.tasks("images", State.RETRY, page=2).tasks, tuple[TaskInfo, ...])
assert_type(app.inspector.run_all("images", State.ARCHIVED), int)
assert_type(app.ainspector, AsyncInspector)


async def inspect_from_asyncio() -> None:
    assert_type(await app.ainspector.task("images", "order-1"), TaskInfo)
    assert_type([queue.pending for queue in await app.ainspector.queues()], list[int])
    assert_type(await app.ainspector.pause("images"), bool)


# Functions that are no tasks, by value.
signed = TaskFlow(
    "signed", signing_keys=["sixteen bytes and more"], encryption_keys=[b"x" * 32], error_text=False
)


def crunch(number: int, *, twice: bool = False) -> str:
    return str(number)


async def crunch_async(number: int) -> bytes:
    return bytes(number)


assert_type(signed.submit(crunch, 1, twice=True), AsyncResult[str])
assert_type(signed.submit(lambda: 5), AsyncResult[int])
assert_type(signed.submit(crunch_async, 1), AsyncResult[bytes])
assert_type(signed.submit.options(queue="slow", retention=60)(crunch, 1).get(), str)


async def submit_from_asyncio() -> None:
    assert_type(await signed.asubmit(crunch, 1), AsyncResult[str])
    assert_type(await signed.asubmit.options(delay=5)(crunch_async, 1), AsyncResult[bytes])
    assert_type(await (await signed.asubmit(crunch_async, 1)), bytes)


async def from_asyncio() -> None:
    assert_type(await resize.adelay("a.png"), AsyncResult[str])
    assert_type(await (await resize.adelay("a.png", width=100)).aget(timeout=10), str)
    assert_type(await resize.delay("a.png"), str)
    assert_type(await (await fetch.adelay("https://example.org")), bytes)
    assert_type(await fetch("https://example.org"), bytes)
    assert_type(await bound_async(3), list[int])
    assert_type(await fetch.options(delay=5).adelay("https://example.org"), AsyncResult[bytes])
    assert_type(await resize.aapply_async(("a.png",), countdown=5), AsyncResult[str])
    assert_type(await resize.amap([("a.png",)]), MapResult[str])
    assert_type(await (await resize.adelay("a.png")).ainfo(), ResultInfo)


@app.on(Succeeded, Retried)
def hear(event: Succeeded | Retried) -> None:
    assert_type(event.seconds, float)


@app.middleware
def around_all(task: CurrentTask) -> Iterator[None]:
    assert_type(task.id, str)
    yield


@app.middleware(around="functions", observer=True)
class Tracing:
    def enqueue(self, call: EnqueueCall, next: Callable[[], AsyncResult[Any]]) -> AsyncResult[Any]:
        call.headers["traceparent"] = call.queue
        call.options(queue="slow", retention=60)
        return next()


assert_type(Tracing(), Tracing)
app.middleware(Tracing())


@app.resource
def engine() -> Iterator[bytes]:
    yield b""


@app.resource(start=True)
async def pool(engine: Annotated[bytes, Depends(engine)]) -> AsyncIterator[str]:
    yield ""


assert_type(engine.value, bytes)


def session(engine: Annotated[bytes, Depends(engine)]) -> Iterator[list[bytes]]:
    yield [engine]


@app.task
def injected(order: int, db: Annotated[list[bytes], Depends(session)] = INJECTED) -> str:
    return str(db)


@app.task
async def injected_by_default(order: int, db: list[bytes] = Depends(session), size: int = 5) -> str:
    return str(db)


assert_type(injected.delay(7), AsyncResult[str])
assert_type(injected_by_default.delay(7, size=6), AsyncResult[str])
with app.dependency_overrides.using({session: lambda: [b""]}):
    injected.delay(7)


@app.on_child_start
def warm_up() -> None: ...


@app.on_worker_stop
async def say_so() -> None: ...


def errors_have_facts() -> str | None:
    try:
        resize.options(unique=60).delay("a.png")
    except DuplicateTask as error:
        return error.holder
    return None


class DatabaseTask(Task[..., Any]):
    connections = 0

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None: ...


@app.task(base=DatabaseTask, bind=True, throws=(KeyError,), acks_late=True)
def based(self: DatabaseTask, row: int) -> str:
    return str(self.connections + row)


@app.task(bind=True, retry_kwargs={"max_retries": 3}, ignore_result=False)
def retrying(self: CurrentTask, url: str) -> int:
    try:
        return int(url)
    except ValueError as error:
        self.retry(exc=error, countdown=2**self.request.retries, max_retries=5)


@shared_task(queue="images")
async def shared(src: str) -> bytes:
    return src.encode()


def celerys_words() -> None:
    assert_type(based.delay(3), AsyncResult[str])
    assert_type(retrying.apply(("3",)).get(), int)
    assert_type(shared.delay("a.png"), AsyncResult[bytes])
    app.conf.update(task_time_limit=60)
    app.conf.task_routes = {"feed.*": "feeds"}


def services() -> tuple[FastAPI, Starlette]:
    return FastAPI(lifespan=lifespan(app, lifespan(app))), Starlette(lifespan=lifespan(app, worker=True))
