"""The loop that takes a queue's tasks, while its server is away."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from taskflow.broker.aio import AsyncBroker
from taskflow.clock import ServerClock
from taskflow.connection.aio import AsyncDriver
from taskflow.worker.crowd import Crowd
from taskflow.worker.fetcher import Fetcher
from taskflow.worker.shares import Shares
from tests.servers import start_server


def test_a_worker_that_ends_while_its_server_is_away_ends_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch that failed after its worker had given it up: "Task exception was never retrieved" in the log."""
    monkeypatch.setattr("taskflow.worker.fetcher.TIMEOUT", 0.5)
    server = start_server(tmp_path)
    complaints: list[dict[str, Any]] = []

    async def ends() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        broker = AsyncBroker(AsyncDriver(server.url))
        shares = Shares({"q": 1}, strict=False, room=lambda: 8, most=8)
        fetcher = Fetcher("q", "me", broker, shares, lambda *_: None, lambda _: set(), ServerClock(), Crowd())
        os.kill(server.process.pid, signal.SIGSTOP)
        tick = asyncio.ensure_future(fetcher.tick())
        while (fetch := fetcher._fetch) is None:
            await asyncio.sleep(0.01)
        tick.cancel()
        await asyncio.wait([tick])
        await asyncio.wait([fetch], timeout=30)
        assert fetch.done()
        fetcher._fetch = None
        del fetch
        gc.collect()
        await asyncio.sleep(0)
        await broker.close()

    asyncio.run(ends())
    server.stop()
    assert not complaints
