"""`watch_response`: Server-Sent Events of a task, from a real server; who comes back, who leaves, and when the server stops."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from starlette.requests import Request

from taskflow import LogLine, LogLines, State, StateChanged, Verdict
from taskflow.contrib.fastapi import events
from taskflow.contrib.fastapi.resuming import Seen
from taskflow.errors import BrokerUnavailable, ResultMissing
from tests.conftest import Cluster
from tests.contrib.web import STRICT
from tests.servers import Server, end, free_port, wait_until

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Event:
    """One event, or a comment."""

    name: str
    data: Any = None
    id: str = ""
    comment: str = ""


class Stream:
    """A client that reads events as they come; it asks in HTTP/1.0, so that what comes is in no chunks."""

    def __init__(self, port: int, path: str, last: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._file = self._socket.makefile("rb")
        header = f"Last-Event-ID: {last}\r\n" if last else ""
        self._socket.sendall(f"GET {path} HTTP/1.0\r\n{header}\r\n".encode())
        self.status = int(self._file.readline().split()[1])
        self.headers = http.client.parse_headers(self._file)

    def __iter__(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        deadline = time.monotonic() + 30
        while line := self._file.readline().decode():
            assert time.monotonic() < deadline, "it goes on, and what is waited for does not come"
            name, _, value = line.rstrip("\n").partition(": ")
            if line == "\n":
                if fields.keys() - {""}:
                    yield Event(fields.get("event", ""), json.loads(fields["data"]), fields.get("id", ""))
                elif fields:
                    yield Event("", comment=fields[""])
                fields = {}
            else:
                fields[name] = value

    def close(self) -> None:
        """Leave, as a browser's tab does."""
        self._file.close()
        self._socket.close()


class Service:
    """The running service."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self._port = port
        self.process = process
        self.log = log

    def post(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", path)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return json.load(answer)

    def talk(self, first: int, then: int, secret: str = "hidden") -> str:
        """Enqueue the task; its id."""
        return str(self.post(f"/talk?secret={secret}&first={first}&then={then}"))

    def watch(self, task_id: str, last: str = "", path: str = "events") -> Stream:
        """Ask for its events; `last` is the id that a browser says it has seen last."""
        return Stream(self._port, f"/{path}/{task_id}", last)


@contextlib.contextmanager
def running(directory: Path, **environment: str) -> Iterator[Service]:
    port, log = free_port(), directory / "uvicorn.log"
    command = [sys.executable, "-m", "uvicorn", "tests.contrib.fastapi.service:api", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **STRICT, **environment}, stdout=output, stderr=output
        )
    try:
        wait_until(
            lambda: "Uvicorn running on" in log.read_text() or process.poll() is not None,
            description="the service has started",
            timeout=40,
        )
        assert process.poll() is None, log.read_text()
        yield Service(port, process, log)
    finally:
        end(process)
    for bad in ("Exception in ASGI", "Warning", "never retrieved"):
        assert bad not in log.read_text(), log.read_text()


@pytest.fixture(scope="module")
def service(valkey: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), TASKFLOW_BROKER=valkey.url) as service:
        yield service


def told(stream: Stream) -> list[Event]:
    """All events to the end, without comments."""
    with contextlib.closing(stream):
        return [event for event in stream if event.name]


def lines(seen: list[Event]) -> list[str]:
    return [event.data["text"] for event in seen if event.name == "log"]


def test_it_tells_what_the_task_does_and_ends_with_the_verdict(service: Service) -> None:
    task_id = service.talk(2, 1)
    stream = service.watch(task_id)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-store"
    service.post(f"/open/{task_id}")

    seen = told(stream)

    assert lines(seen) == ["line 1", "line 2", "line 3"]
    assert {event.name for event in seen} == {"state", "log", "progress", "verdict"}
    progress = [event.data for event in seen if event.name == "progress"]
    assert progress[-1] == {"done": 2, "total": 3, "note": "half", "attempt": 1}
    assert seen[-1] == Event("verdict", {"state": "completed", "succeeded": True}, "end")


@pytest.mark.parametrize("secret", ["hidden", "raise hidden"])
def test_it_has_no_argument_no_result_and_no_error_unless_it_is_asked_for(
    service: Service, secret: str
) -> None:
    """Whoever has the id reads it: the text of an exception is often an argument."""
    task_id = service.talk(1, 0, secret.replace(" ", "%20"))
    service.post(f"/open/{task_id}")

    quiet, open_ = told(service.watch(task_id)), told(service.watch(task_id, path="everything"))

    assert "hidden" not in repr(quiet)
    if secret == "hidden":
        assert "hidden" not in repr(open_)
        assert open_[-1].data == {"state": "completed", "succeeded": True, "result": {"open": "to all"}}
    else:
        assert quiet[-1].data == {"state": "archived", "succeeded": False}
        assert open_[-1].data["error"] == "raise hidden"


def test_a_client_that_comes_back_is_told_what_it_has_not_seen(service: Service) -> None:
    """No line twice, and none left out, whatever has been said meanwhile."""
    task_id = service.talk(3, 2)
    stream = service.watch(task_id)
    seen: list[Event] = []
    for event in stream:
        if event.name == "log":
            seen.append(event)
        if len(seen) == 2:
            break
    stream.close()
    service.post(f"/open/{task_id}")

    again = told(service.watch(task_id, last=seen[-1].id))

    assert lines(seen) + lines(again) == [f"line {number}" for number in range(1, 6)]
    assert again[0].name == "state"
    assert again[-1].name == "verdict"


def test_a_client_that_has_seen_the_verdict_is_told_to_stay_away(service: Service) -> None:
    """An `EventSource` asks again whenever a stream has ended: 204 is how it is told not to."""
    task_id = service.talk(1, 0)
    service.post(f"/open/{task_id}")
    seen = told(service.watch(task_id))

    with contextlib.closing(service.watch(task_id, last=seen[-1].id)) as stream:
        assert (stream.status, list(stream)) == (204, [])


def test_a_client_that_leaves_ends_the_watch(service: Service, raw: redis.Redis) -> None:
    """It has a connection to the broker of its own, which would stay until the task ends."""
    task_id = service.talk(1, 0)
    stream = service.watch(task_id)
    assert next(iter(stream)).name == "state"

    def watching() -> int:
        return sum(int(client["ssub"]) > 0 for client in raw.client_list())

    wait_until(lambda: watching() == 1, description="the watch listens")
    stream.close()
    wait_until(lambda: watching() == 0, description="the watch has ended")
    service.post(f"/open/{task_id}")


def test_a_quiet_stream_has_comments_and_may_end_for_a_while(service: Service) -> None:
    task_id = service.talk(0, 0)
    stream = service.watch(task_id)
    assert any(event.comment == "keep-alive" for event in stream)
    stream.close()

    shortly = told(service.watch(task_id, path="shortly"))

    assert "verdict" not in [event.name for event in shortly]
    service.post(f"/open/{task_id}")
    assert told(service.watch(task_id))[-1].name == "verdict"


def test_a_task_that_nobody_knows_is_404(service: Service) -> None:
    with contextlib.closing(service.watch("unknown")) as stream:
        assert stream.status == 404


def test_the_server_stops_although_somebody_watches(own_server: Server, tmp_path: Path) -> None:
    """uvicorn waits for each answer that is under way, and this one would last as long as its task: until its reload, or its
    deployment, was killed.
    """
    with running(tmp_path, TASKFLOW_BROKER=own_server.url, WITHOUT_WORKER="1") as service:
        stream = service.watch(service.talk(1, 0))
        assert next(iter(stream)).data["state"] == "pending"

        service.process.send_signal(signal.SIGTERM)

        assert service.process.wait(20) in (0, -signal.SIGTERM)
        assert "shutdown complete" in service.log.read_text()
        stream.close()


def test_it_is_so_on_a_cluster_with_keys(cluster: Cluster, tmp_path: Path) -> None:
    """What a task says is encrypted on the broker, and not for who watches."""
    keys = {
        "TASKFLOW_SIGNING_KEYS": "a-signing-key-of-a-test",
        "TASKFLOW_ENCRYPTION_KEYS": "another-key-of-a-test",
    }
    with running(tmp_path, TASKFLOW_BROKER=cluster.url, **keys) as service:
        task_id = service.talk(2, 1)
        stream = service.watch(task_id, path="everything")
        service.post(f"/open/{task_id}")
        seen = told(stream)

    assert lines(seen) == ["line 1", "line 2", "line 3"]
    assert seen[-1].data["result"] == {"open": "to all"}


# --- without a server ---------------------------------------------------------------------------------------


def line(number: int, attempt: int = 1, at: float = 0.0) -> LogLine:
    moment = datetime.fromtimestamp(1_800_000_000 + (at or number / 10), UTC)
    return LogLine(number, f"line {number} of {attempt}", "", moment, attempt)


def test_lines_after_the_one_that_was_seen_are_news() -> None:
    kept = LogLines(tuple(line(number) for number in range(3, 8)), missed=2)
    seen_before = Seen("")
    ids = [seen_before.note(one) for one in kept.lines]

    assert seen_before.new(LogLines((line(8),))) == ((line(8),), 0)  # the watch has not begun anew
    assert Seen("").new(kept) == (kept.lines, 2)
    assert Seen("nonsense, or of another server").new(kept) == (kept.lines, 2)
    assert Seen(ids[2]).new(kept) == (kept.lines[3:], 0)
    assert Seen(ids[-1]).new(kept) == ((), 0)


def test_a_second_attempt_of_the_same_number_is_another() -> None:
    """After the loss of a worker: its lines are counted from 1 again."""
    first, second = [line(1), line(2)], [line(1, at=5), line(2, at=6)]
    mark = Seen("").note(first[1])

    assert Seen(mark).new(LogLines((*first, *second))) == (tuple(second), 0)


def test_where_the_line_is_not_kept_any_more_the_later_ones_are_news() -> None:
    mark = Seen("").note(line(2))

    assert list(Seen(mark).new(LogLines((line(1), line(5), line(6)), missed=2))[0]) == [line(5), line(6)]


class Away:
    """A handle whose broker is away for a moment, and has the task no more afterwards, if that is wanted."""

    def __init__(self, *, gone: bool) -> None:
        self._gone = gone
        self._looks = 0

    def watch(self, timeout: float | None) -> AsyncIterator[Any]:
        return self._watch()

    async def _watch(self) -> AsyncIterator[Any]:
        self._looks += 1
        if self._looks > 1 and self._gone:
            raise ResultMissing("gone", task_id="1")
        yield StateChanged(State.ACTIVE, 0, "")
        yield LogLines((line(1), line(2)) if self._looks == 1 else (line(1), line(2), line(3)))
        if self._looks == 1:
            raise BrokerUnavailable("away")
        yield Verdict(State.COMPLETED)


@pytest.mark.parametrize("gone", [False, True])
def test_a_stream_outlives_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch, gone: bool) -> None:
    """A stream that ends then would have the browser ask again, be answered with an error, and give up for good."""
    monkeypatch.setattr(events, "PAUSE", 0.0)

    async def run() -> list[Event]:
        request = Request({"type": "http", "headers": []})
        response: Any = await events.watch_response(Away(gone=gone), request)  # type: ignore[arg-type]
        seen = [event async for event in response.body_iterator]
        return [Event(event.event, json.loads(event.data)) for event in seen]

    seen = asyncio.run(run())

    assert lines(seen) == ["line 1 of 1", "line 2 of 1", *([] if gone else ["line 3 of 1"])]
    assert seen[-1].name == "verdict"
    assert seen[-1].data["succeeded"] is (None if gone else True)


def test_a_broker_that_is_away_at_the_beginning_is_an_error_of_the_request() -> None:
    class Gone:
        async def watch(self, timeout: float | None) -> AsyncIterator[Any]:
            raise BrokerUnavailable("away")
            yield

    request = Request({"type": "http", "headers": []})
    with pytest.raises(BrokerUnavailable):
        asyncio.run(_respond(Gone(), request))


async def _respond(result: Any, request: Request) -> object:
    return await events.watch_response(result, request)
