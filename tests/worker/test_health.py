"""A loop that stands still is seen and rebuilt; a broker that is away is no reason to be red."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from taskflow.errors import BrokerUnavailable, PortInUse
from taskflow.worker import check, health, service
from taskflow.worker.health import Health, HealthServer
from taskflow.worker.service import Service
from tests.servers import free_port, until


class Loop(Service):
    """A loop that gets on, until it is told to hang."""

    name = "loop"

    def __init__(self) -> None:
        super().__init__()
        self.hang = False
        self.rounds = 0

    async def tick(self) -> float:
        if self.hang:
            await asyncio.Event().wait()
        self.rounds += 1
        return 0.01


class Away(Loop):
    """A loop whose broker is away."""

    name = "away"

    async def tick(self) -> float:
        self.rounds += 1
        raise BrokerUnavailable("nobody there")


class Resting(Loop):
    """A loop that rightly waits for ever: no slot is free."""

    name = "resting"

    async def tick(self) -> float:
        with self.resting():
            await asyncio.Event().wait()
        return 0


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(health, "STILL_SECONDS", 0.5)
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(service, "LONGEST_PAUSE", 0.05)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_a_wedged_loop_turns_it_red_and_is_rebuilt() -> None:
    async def scene() -> None:
        loop, away, resting = Loop(), Away(), Resting()
        watch = Health([loop, away, resting], None)
        for one in (loop, away, resting, watch):
            one.start()
        await until(lambda: loop.rounds > 3, timeout=10)
        assert watch.state() == {"ok": True, "still": {}}
        loop.hang = True
        await until(lambda: not watch.state()["ok"], timeout=10)
        assert list(watch.state()["still"]) == ["loop"]  # type: ignore[call-overload]
        loop.hang = False  # what a new connection, for example, would mend
        rounds = loop.rounds
        await until(lambda: loop.rounds > rounds + 3, timeout=10)
        assert watch.state()["ok"]
        assert watch.rebuilds == 1
        assert away.rounds > 0
        for one in (loop, away, resting, watch):
            await one.stop()

    asyncio.run(scene())


def test_a_loop_that_hangs_again_stays_red() -> None:
    async def scene() -> None:
        loop = Loop()
        watch = Health([loop], None)
        loop.hang = True
        loop.start()
        watch.start()
        await until(lambda: watch.rebuilds >= 2, timeout=10)
        assert not watch.state()["ok"]
        await loop.stop()
        await watch.stop()

    asyncio.run(scene())


def _get(port: int, path: str = "/healthz") -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_healthz_answers_also_while_the_event_loop_is_stuck() -> None:
    port = free_port()

    async def scene() -> None:
        watch = Health([], None)
        watch.start()
        server = HealthServer(port, watch.state)
        try:
            await asyncio.sleep(0.1)
            assert (await asyncio.to_thread(_get, port))[0] == 200
            assert (await asyncio.to_thread(_get, port, "/"))[0] == 404
            answer = asyncio.create_task(asyncio.to_thread(lambda: (time.sleep(1.0), _get(port))[1]))
            await asyncio.sleep(0)
            time.sleep(2.0)
            status, state = await answer
            assert status == 503
            assert list(state["still"]) == ["health"]  # type: ignore[call-overload]
        finally:
            server.close()
            await watch.stop()

    asyncio.run(scene())


def test_a_port_in_use_is_named() -> None:
    port = free_port()
    server = HealthServer(port, lambda: {"ok": True})
    try:
        with pytest.raises(PortInUse, match=str(port)):
            HealthServer(port, lambda: {"ok": True})
    finally:
        server.close()


def test_check_reads_what_workers_of_this_app_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    assert check.check("shop") == []
    mine = check.file_for("shop", os.getpid())
    mine.write_text(json.dumps({"at": time.time(), "ok": True, "still": {}}))
    gone = check.file_for("shop", 2**22 + 1)
    gone.write_text(mine.read_text())
    assert check.check("shop") == [(os.getpid(), True, "all loops get on")]
    assert not gone.exists()
    assert check.check("other") == []
    mine.write_text(json.dumps({"at": time.time(), "ok": False, "still": {"fetcher of queue q": 25}}))
    assert check.check("shop") == [(os.getpid(), False, "fetcher of queue q has stood still for 25 s")]
    mine.write_text(json.dumps({"at": time.time() - 60, "ok": True, "still": {}}))
    assert check.check("shop")[0][1] is False
