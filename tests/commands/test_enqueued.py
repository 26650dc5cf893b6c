"""`Enqueued`: whoever enqueues is told of each call, once, in the order of the calls."""

from __future__ import annotations

import asyncio
from typing import Any

from taskflow import TaskFlow
from taskflow.events import Enqueued, Received
from tests.servers import Server


def test_whoever_enqueues_is_told_of_each_call_once(valkey: Server, queue: str) -> None:
    app, told = TaskFlow("listening", broker=valkey.url, queue=queue), []
    try:

        @app.task(name="works")
        def works(number: int = 0) -> None: ...

        app.on(Enqueued)(told.append)
        handles = [works.delay(), works.apply_async((1,), countdown=60)]
        handles += works.map([(2,), ("no number",), (3,)]).results
        with app.batch() as batch:
            works.delay(4)
            assert len(told) == 4, "nothing is sent before the end of the block"
        handles += batch.outcomes.results
        assert [(event.id, event.queue) for event in told] == [(one.id, one.queue) for one in handles]
        assert not Received.heard
    finally:
        app.close()


async def coroutine(app: TaskFlow, works: Any) -> list[str]:
    handles = [await works.adelay(1), *(await works.amap([(2,)])).results]
    async with app.batch() as batch:
        await works.adelay(3)
    await app.aclose()
    return [one.id for one in (*handles, *batch.outcomes.results)]


def test_so_it_is_from_coroutines(valkey: Server, queue: str) -> None:
    app, told = TaskFlow("listening", broker=valkey.url, queue=queue), []

    @app.task(name="works")
    def works(number: int = 0) -> None: ...

    app.on(Enqueued)(told.append)
    ids = asyncio.run(coroutine(app, works))
    assert [event.id for event in told] == ids
