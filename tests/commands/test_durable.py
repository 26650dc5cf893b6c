"""`durable`: the call returns when a replica has the task, and not before."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from taskflow import TaskFlow, errors
from tests.servers import Server, start_server, wait_until


class Pair:
    """A master and its replica."""

    def __init__(self, master: Server, replica: Server) -> None:
        self.master = master
        self.replica = replica

    def online(self) -> bool:
        with redis.Redis(port=self.master.port) as client:
            return any(
                value.get("state") == "online"
                for value in client.info("replication").values()
                if isinstance(value, dict)
            )


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    for name in ("master", "replica"):
        (tmp_path / name).mkdir()
    master = start_server(tmp_path / "master", "--repl-diskless-sync-delay", "0")
    replica = start_server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(master.port))
    pair = Pair(master, replica)
    try:
        wait_until(pair.online, description="the replica is online")
        yield pair
    finally:
        for server in (replica, master):
            if server.process.poll() is None:
                os.kill(server.process.pid, signal.SIGCONT)
            server.stop()


def _app(pair: Pair, **defaults: object) -> TaskFlow:
    app = TaskFlow("durable", broker=pair.master.url, **defaults)  # type: ignore[arg-type]

    @app.task(name="noop", queue="q")
    def noop(number: int = 0) -> None: ...

    return app


def test_says_that_a_replica_has_it(pair: Pair) -> None:
    app = _app(pair, durable=True)
    noop = app.get_task("noop")
    assert noop.delay().durable is True

    async def from_a_coroutine() -> bool | None:
        try:
            return (await noop.adelay()).durable
        finally:
            await app.aclose()

    assert asyncio.run(from_a_coroutine()) is True
    assert noop.options(durable="strict").delay().durable is True
    assert noop.options(durable=False).delay().durable is None
    assert [item.result.durable for item in noop.map([(n,) for n in range(500)]) if item.result] == [
        True
    ] * 500
    with redis.Redis(port=pair.replica.port) as replica:
        assert replica.llen("asynq:{q}:pending") == 504
    app.close()


@pytest.mark.parametrize("durable", [True, "strict"])
def test_does_not_return_as_durable_while_the_replica_stands_still(pair: Pair, durable: bool | str) -> None:
    """The replica is stopped: it is still "online" for the master, but it has nothing of what is written."""
    app = _app(pair, durable=durable, enqueue_timeout=2.5)
    noop = app.get_task("noop")
    noop.delay()
    os.kill(pair.replica.process.pid, signal.SIGSTOP)
    with pytest.raises(errors.BrokerUnavailable, match="on no replica") as raised:
        noop.options(id="held").delay()
    assert raised.value.task_id == "held"
    os.kill(pair.replica.process.pid, signal.SIGCONT)
    # It was written: a repetition by the caller finds it. Nothing was enqueued twice.
    with pytest.raises(errors.TaskIdConflict):
        noop.options(id="held").delay()
    with redis.Redis(port=pair.master.port) as master:
        assert master.llen("asynq:{q}:pending") == 2
    app.close()


def test_waits_until_the_replica_goes_on(pair: Pair) -> None:
    app = _app(pair, durable=True, enqueue_timeout=20)
    noop = app.get_task("noop")
    noop.delay()
    os.kill(pair.replica.process.pid, signal.SIGSTOP)
    with pytest.raises(errors.BrokerUnavailable):
        noop.options(enqueue_timeout=1).delay()

    async def both() -> None:
        waiting = asyncio.create_task(noop.options(id="waits").adelay())
        await asyncio.sleep(1.5)
        assert not waiting.done()
        os.kill(pair.replica.process.pid, signal.SIGCONT)
        assert (await asyncio.wait_for(waiting, 15)).durable is True
        await app.aclose()

    asyncio.run(both())
    with redis.Redis(port=pair.replica.port) as replica:
        assert replica.exists("asynq:{q}:t:waits")
    app.close()


def test_without_any_replica_it_says_so_and_strict_refuses(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    app = _app(pair, durable=True)
    noop = app.get_task("noop")
    pair.replica.stop()
    wait_until(lambda: not pair.online(), description="the master has noticed")
    result = noop.delay()
    assert result.durable is False
    assert app.client.undurable == 1
    assert "on one node only" in caplog.text
    with pytest.raises(errors.NotDurable) as raised:
        noop.options(durable="strict", id="one").delay()
    assert raised.value.task_id == "one"
    with redis.Redis(port=pair.master.port) as master:
        assert master.exists("asynq:{q}:t:one"), "it is enqueued all the same"
    app.close()


def test_an_option_that_makes_no_sense_is_refused(pair: Pair) -> None:
    with pytest.raises(errors.InvalidOption, match="durable"):
        _app(pair, durable="maybe")
