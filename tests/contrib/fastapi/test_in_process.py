"""taskflow.contrib.fastapi within one process: the lifespan, dependencies, and calls after the response."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
import redis
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from taskflow import INJECTED, AsyncResult, State, TaskFlow
from taskflow import Depends as TaskDepends
from taskflow.contrib.fastapi import AfterResponse, after_response, get_result, get_taskflow, lifespan
from taskflow.errors import ConfigurationError, InvalidArguments
from tests.contrib.web import STRICT
from tests.servers import Server

Result = Annotated[AsyncResult[Any], Depends(get_result)]
After = Annotated[AfterResponse, Depends(after_response)]


def add(a: int, b: int) -> int:
    return a + b


@pytest.fixture
def taskflow(valkey: Server, queue: str) -> Iterator[TaskFlow]:
    app = TaskFlow("shop", broker=valkey.url, queue=queue, retention=60)
    yield app
    app.close()


@pytest.fixture
def eager() -> TaskFlow:
    return TaskFlow("shop", broker="redis://127.0.0.1:1", eager=True, retention=60, max_retries=0)


# --- the lifespan -------------------------------------------------------------------------------------------


def test_ones_own_lifespan_is_inside_and_the_worker_is_inside_of_that(
    valkey: Server, taskflow: TaskFlow, raw: redis.Redis
) -> None:
    """What the tasks use is there before the first of them runs, and until the last has ended; and its end may still enqueue."""
    happened: list[str] = []
    pools: list[str] = []

    @taskflow.task
    async def use() -> str:
        happened.append(f"task with {pools[0]}")
        return pools[0]

    @asynccontextmanager
    async def own(api: FastAPI) -> AsyncIterator[dict[str, str]]:
        assert api.state.taskflow is taskflow
        pools.append("a pool")
        happened.append("own start")
        yield {"pool": pools[0]}
        happened.append("own end")
        assert not [one for one in await taskflow.ainspector.servers() if one.queues.keys() >= {use.queue}]
        pools.clear()

    api = FastAPI(lifespan=lifespan(taskflow, own, worker={"concurrency": 1, "grace": 5}))

    @api.get("/")
    async def run(request: Request) -> list[str]:
        return [await (await use.adelay()).aget(20), request.state.pool]

    before = len(raw.client_list())
    with TestClient(api) as client:
        assert client.get("/").json() == ["a pool", "a pool"]
    assert happened == ["own start", "task with a pool", "own end"]
    assert len(raw.client_list()) == before


def test_it_is_used_inside_of_ones_own_likewise(eager: TaskFlow) -> None:
    """As FastAPI's users compose: one `async with` more. An eager app needs no worker, so tests need no broker."""

    @asynccontextmanager
    async def own(api: FastAPI) -> AsyncIterator[None]:
        async with lifespan(eager, worker=True)(api):
            yield

    api = FastAPI(lifespan=own)
    api.add_api_route("/", _name)

    with TestClient(api) as client:
        assert client.get("/").json() == "shop"


async def _name(app: Annotated[TaskFlow, Depends(get_taskflow)]) -> str:
    return app.name


def test_a_generator_function_that_is_no_lifespan_yet_is_refused(eager: TaskFlow) -> None:
    async def own(api: FastAPI) -> AsyncIterator[None]:
        yield

    with pytest.raises(ConfigurationError, match="own is a generator function; put @contextlib"):
        lifespan(eager, own)  # type: ignore[arg-type]


def test_a_start_that_fails_leaves_nothing_open(taskflow: TaskFlow) -> None:
    @asynccontextmanager
    async def own(api: FastAPI) -> AsyncIterator[None]:
        await taskflow.ainspector.queues()
        raise RuntimeError("no database")
        yield

    with (
        pytest.raises(RuntimeError, match="no database"),
        TestClient(FastAPI(lifespan=lifespan(taskflow, own))),
    ):
        pass


# --- dependencies -------------------------------------------------------------------------------------------


def test_a_task_by_its_id_is_a_handle_or_404(taskflow: TaskFlow) -> None:
    """Of a task of any queue of the app; ids that cannot be are unknown, too, and no error of the server's."""
    task = taskflow.task(add, name="add")
    api = FastAPI(lifespan=lifespan(taskflow))

    @api.get("/tasks/{task_id}")
    async def show(result: Result) -> str | None:
        return await result.astate()

    with TestClient(api) as client:
        known = task.delay(1, 2)
        assert client.get(f"/tasks/{known.id}").json() == "pending"
        for unknown in ("never", "%7Bbraces%7D", "x" * 1000):
            answer = client.get(f"/tasks/{unknown}")
            assert (answer.status_code, answer.json()["detail"][:19]) == (404, "no task has this id"), unknown


def test_an_application_without_an_app_says_what_to_write() -> None:
    """`TestClient(api)` without `with` enters no lifespan: everybody meets that once."""
    api = FastAPI(lifespan=lifespan(TaskFlow("shop", broker="redis://127.0.0.1:1")))
    api.add_api_route("/", _name)

    with pytest.raises(ConfigurationError, match=r"with TestClient\(application\)"):
        TestClient(api).get("/")


def get_db() -> str:
    return "the database"


def test_what_a_task_depends_on_is_its_own_and_may_be_fastapis_mark(eager: TaskFlow) -> None:
    """Endpoint and task share `get_db`; each has overrides of its own."""

    @eager.task
    def with_ours(db: Annotated[str, TaskDepends(get_db)] = INJECTED) -> str:
        return db

    @eager.task
    def with_theirs(db: Annotated[str, Depends(get_db)] = INJECTED) -> str:
        return db

    api = FastAPI(lifespan=lifespan(eager))

    @api.get("/")
    async def both(db: Annotated[str, Depends(get_db)]) -> list[str]:
        return [db, *[await (await task.adelay()).aget() for task in (with_ours, with_theirs)]]

    with TestClient(api) as client:
        assert client.get("/").json() == ["the database"] * 3
        with eager.dependency_overrides.using({get_db: lambda: "a fake"}):
            assert client.get("/").json() == ["the database", "a fake", "a fake"]
        api.dependency_overrides[get_db] = lambda: "another"
        assert client.get("/").json() == ["another", "the database", "the database"]


# --- after the response -------------------------------------------------------------------------------------


def test_calls_are_enqueued_together_after_the_response(taskflow: TaskFlow) -> None:
    task = taskflow.task(add, name="add")
    seen: list[object] = []
    api = FastAPI(lifespan=lifespan(taskflow))

    @api.get("/")
    async def view(after: After, background: BackgroundTasks) -> list[str]:
        first = after.add_task(task, 1, b=2)
        second = after.add_task(task.options(id="given"), 3, 4)
        at_once = await task.adelay(5, 6)
        seen.append([await one.astate() for one in (first, second, at_once)])
        background.add_task(look, first)
        return [first.id, second.id, at_once.id]

    async def look(first: AsyncResult[Any]) -> None:
        seen.append(await first.astate())

    with TestClient(api) as client:
        ids = client.get("/").json()

    assert seen == [[None, None, "pending"], "pending"]
    assert ids[1] == "given"
    assert {one.id for one in taskflow.inspector.tasks(task.queue, State.PENDING).tasks} == set(ids)


def test_a_request_that_fails_enqueues_nothing(taskflow: TaskFlow, raw: redis.Redis) -> None:
    """Neither one that the endpoint refuses, nor one whose arguments cannot be: that is known before the response."""
    task = taskflow.task(add, name="add")
    api = FastAPI(lifespan=lifespan(taskflow))

    @api.get("/refused")
    async def refused(after: After) -> None:
        after.add_task(task, 1, 2)
        raise HTTPException(409)

    @api.get("/wrong")
    async def wrong(after: After) -> None:
        after.add_task(task, 1, 2)
        with pytest.raises(InvalidArguments):
            after.add_task(task, "one")  # type: ignore[call-arg, arg-type]
        raise HTTPException(422)

    @api.get("/nothing")
    async def nothing(after: After) -> None: ...

    with TestClient(api) as client:
        answers = [client.get(path).status_code for path in ("/refused", "/wrong", "/nothing")]
    assert answers == [409, 422, 200]
    assert raw.keys(f"asynq:{{{task.queue}}}*") == []


def test_a_function_as_an_endpoint_may_use_all_of_it(taskflow: TaskFlow) -> None:
    """FastAPI runs it in a thread."""
    task = taskflow.task(add, name="add")
    api = FastAPI(lifespan=lifespan(taskflow))

    @api.get("/")
    def view(after: After, app: Annotated[TaskFlow, Depends(get_taskflow)]) -> list[str]:
        return [task.delay(1, 2).id, after.add_task(task, 3, 4).id, app.name]

    with TestClient(api) as client:
        *ids, name = client.get("/").json()
    assert name == "shop"
    assert {one.id for one in taskflow.inspector.tasks(task.queue, State.PENDING).tasks} == set(ids)


def test_starlette_alone_has_the_same(taskflow: TaskFlow) -> None:
    task = taskflow.task(add, name="add")

    async def view(request: Request) -> Response:
        after = AfterResponse(await get_taskflow(request))
        handle = after.add_task(task, 1, 2)
        return JSONResponse({"id": handle.id}, background=after)

    async def show(request: Request) -> Response:
        result = await get_result(request.path_params["task_id"], request)
        return JSONResponse({"state": await result.astate()})

    routes = [Route("/", view), Route("/tasks/{task_id}", show)]
    with TestClient(Starlette(routes=routes, lifespan=lifespan(taskflow))) as client:
        assert client.get(f"/tasks/{client.get('/').json()['id']}").json() == {"state": "pending"}
        assert client.get("/tasks/unknown").status_code == 404


def test_nothing_of_it_needs_fastapi() -> None:
    """And only the events need sse-starlette."""
    code = (
        "import sys\n"
        "sys.modules['fastapi'] = None\n"
        "import taskflow.contrib.fastapi\n"
        "assert 'sse_starlette' not in sys.modules\n"
        "import taskflow.contrib.fastapi.events\n"
        "print('imported')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], env=STRICT, capture_output=True, text=True, timeout=60
    )

    assert said.stdout == "imported\n", said.stderr


def test_adelay_works_without_any_of_it(taskflow: TaskFlow) -> None:
    """So the page says; the connections are those of the loop."""
    task = taskflow.task(add, name="add")

    async def run() -> str | None:
        handle = await task.adelay(1, 2)
        state = await handle.astate()
        await taskflow.aclose()
        return state

    assert asyncio.run(run()) == "pending"
