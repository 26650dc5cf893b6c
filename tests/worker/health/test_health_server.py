"""The port of `/healthz`: whoever reaches it may open connections and say nothing, and it answers all the same."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taskflow.errors import InvalidOption, PortInUse
from taskflow.worker.health import health_server
from taskflow.worker.health.health_server import MOST_CONNECTIONS, HealthServer
from tests.servers import free_port, wait_until


@contextmanager
def serving() -> Iterator[int]:
    port = free_port()
    server = HealthServer(port, lambda: {"ok": True})
    try:
        yield port
    finally:
        server.close()


def _ask(port: int, path: str = "/healthz") -> dict[str, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        value: dict[str, object] = json.load(answer)
        return value


def test_half_open_connections_keep_nobody_from_an_answer_and_take_no_descriptors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each had a thread and a descriptor without end: so many of them, and the worker could start no child any more."""
    monkeypatch.setattr(health_server, "SECONDS", 60.0)
    with serving() as port, contextlib.ExitStack() as stack:
        threads = threading.active_count()
        silent = []
        for number in range(3 * MOST_CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            connection.sendall(b"GET /heal"[: number % 10])
            silent.append(connection)
        assert _ask(port) == {"ok": True}
        assert threading.active_count() == threads
        for connection in silent[: 2 * MOST_CONNECTIONS]:
            # It was hung up on, to make room.
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""


def test_who_says_nothing_is_hung_up_on_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_server, "SECONDS", 0.3)
    with serving() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        silent.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert silent.recv(100) == b""


def test_a_request_without_end_is_cut_off() -> None:
    with serving() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as endless:
        with contextlib.suppress(OSError):
            for _ in range(100):
                endless.sendall(b"x" * 1024)
        with contextlib.suppress(ConnectionError):
            assert endless.recv(100) == b""
        assert _ask(port) == {"ok": True}


def test_it_answers_again_when_descriptors_are_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An `accept` that fails must not end the thread: the port would be silent for the rest of the worker's life."""
    monkeypatch.setattr(health_server, "PAUSE", 0.05)
    said: list[object] = []
    monkeypatch.setattr(health_server.logger, "warning", lambda *args, **_: said.append(args))
    with serving() as port:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        caller = socket.socket()
        try:
            # The limit is under what is open already, so that no descriptor can be made.
            resource.setrlimit(resource.RLIMIT_NOFILE, (caller.fileno(), hard))
            caller.connect(("127.0.0.1", port))
            wait_until(lambda: said, description="the failure is said")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            caller.close()
        assert _ask(port) == {"ok": True}
        assert len(said) == 1


def test_other_paths_and_methods_are_told_what_there_is() -> None:
    with serving() as port:
        for request, status in (
            (b"GET / HTTP/1.1\r\n\r\n", b"404"),
            (b"POST /healthz HTTP/1.1\r\n\r\n", b"405"),
            (b"nonsense\r\n\r\n", b"405"),
            (b"GET /healthz?verbose=1 HTTP/1.0\n\n", b"200"),
            (b"HEAD /healthz HTTP/1.1\r\n\r\n", b"200"),
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(request)
                assert connection.makefile("rb").readline().split()[1] == status


def test_a_port_in_use_and_an_address_of_another_machine_are_named() -> None:
    with serving() as port:
        with pytest.raises(PortInUse, match=rf"{port}.*--health-port"):
            HealthServer(port, lambda: {"ok": True})
        with pytest.raises(InvalidOption, match=r"--health-host 192\.0\.2\.1"):
            HealthServer(free_port(), lambda: {"ok": True}, "192.0.2.1")
        with pytest.raises(InvalidOption, match=r"--health-host no\.such\.invalid"):
            HealthServer(free_port(), lambda: {"ok": True}, "no.such.invalid")


def test_it_may_listen_for_a_probe_from_outside_a_container() -> None:
    port = free_port()
    server = HealthServer(port, lambda: {"ok": True}, "0.0.0.0")
    try:
        assert _ask(port) == {"ok": True}
    finally:
        server.close()
