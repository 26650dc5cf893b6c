"""What a worker says, at its start, of servers that are not fit to keep tasks."""

from __future__ import annotations

import asyncio
import logging
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow.broker.aio import AsyncBroker
from taskflow.connection.aio import AsyncDriver
from taskflow.errors import ServerTooOld
from taskflow.worker.preflight import check_servers
from tests.servers import start_server
from tests.workers import WorkerProcess


class Pretender(socketserver.StreamRequestHandler):
    """Answers as a server of an old version does."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].upper())
            if words[0] == b"INFO":
                body = self.server.info  # type: ignore[attr-defined]
                self.wfile.write(b"$%d\r\n%s\r\n" % (len(body), body))
            elif words[0] == b"PING":
                self.wfile.write(b"+PONG\r\n")
            else:
                self.wfile.write(b"-ERR unknown command\r\n")


class Pretending(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    info = b"# Server\r\nredis_version:6.2.7\r\n"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def old() -> Iterator[Pretending]:
    with Pretending(("127.0.0.1", 0), Pretender) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def check(url: str) -> None:
    async def run() -> None:
        broker = AsyncBroker(AsyncDriver(url))
        try:
            await check_servers(broker)
        finally:
            await broker.close()

    asyncio.run(run())


def test_a_server_that_is_too_old_is_refused_in_one_line(old: Pretending) -> None:
    with pytest.raises(ServerTooOld) as raised:
        check(old.url)
    port = old.server_address[1]
    assert str(raised.value) == (
        f"the server at 127.0.0.1:{port} is too old: Redis 6.2.7 cannot run taskflow's scripts; "
        "upgrade to Redis 7.0 or newer, or any Valkey"
    )


def test_the_worker_ends_with_that_line(old: Pretending) -> None:
    with WorkerProcess("tests.lifecycle.app", broker=old.url, ready=False) as process:
        assert process.wait(30) == 2
        line = process.wait_for_log("is too old")
    assert line.startswith("Error: the server at 127.0.0.1:")
    assert not any("Traceback" in one for one in process.log)


def test_what_is_dangerous_is_one_warning_each(old: Pretending, caplog: pytest.LogCaptureFixture) -> None:
    old.info = b"redis_version:7.2.4\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n"
    with caplog.at_level(logging.WARNING, "taskflow.worker"):
        check(old.url)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "CVE-2025-49844" in lines[0]
    assert "maxmemory-policy is allkeys-lru" in lines[1]


@pytest.mark.parametrize(
    "info", [b"", b"redis_version:7.2.4\r\nvalkey_version:9.1.2\r\nmaxmemory_policy:allkeys-lru\r\n"]
)
def test_what_is_well_or_says_nothing_is_no_line(
    old: Pretending, caplog: pytest.LogCaptureFixture, info: bytes
) -> None:
    old.info = info
    with caplog.at_level(logging.WARNING, "taskflow.worker"):
        check(old.url)
    assert caplog.records == []


def test_a_real_server_that_evicts(tmp_path: Path) -> None:
    server = start_server(tmp_path, "--maxmemory", "200mb", "--maxmemory-policy", "volatile-lru")
    try:
        with WorkerProcess("tests.lifecycle.app", broker=server.url, queues={"q": 1}) as process:
            line = process.wait_for_log("maxmemory-policy")
        assert " WARNING " in line
        assert sum("maxmemory-policy" in one for one in process.log) == 1
    finally:
        server.stop()
