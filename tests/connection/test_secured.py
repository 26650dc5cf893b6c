"""TLS, Sentinel and users: a producer and a worker run tasks over each, in threads and in asyncio, on servers of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from asyncio import sslproto
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import redis

from taskflow import TaskFlow
from taskflow.broker.acl import PREFIX
from taskflow.connection.nodes import _NO_GREETING, async_node
from taskflow.connection.settings import tls_context
from taskflow.connection.url import parse
from tests.conftest import Cluster
from tests.sentinels import SERVICE, sentinels
from tests.servers import PASSWORD, Server, free_port, start_server, wait_until
from tests.tls import Authority, TlsProxy, tls_in_front
from tests.workers import WorkerProcess

SECRET = "canary-5d20+/%"
"""A password that a URL has to escape."""
ESCAPED = "canary-5d20+%2F%25"

Urls = Callable[[str], str]
"""The broker URL for a role: producer or worker."""


@contextlib.contextmanager
def tls_server(directory: Path, authority: Authority) -> Iterator[Urls]:
    """One server behind TLS, which wants certificates of its clients."""
    server = start_server(directory)
    context = authority.server_context(authority.issue("server", "127.0.0.1"), ask_clients=True)
    mine = authority.issue("client")
    try:
        with tls_in_front([server.port], context) as (proxy,):
            query = f"ssl_ca_certs={authority.file}&ssl_certfile={mine.certificate}&ssl_keyfile={mine.key}"
            yield lambda role: f"rediss://127.0.0.1:{proxy.port}?{query}"
            assert proxy.secure > 2
    finally:
        server.stop()


@contextlib.contextmanager
def tls_sentinel(directory: Path, authority: Authority) -> Iterator[Urls]:
    """Sentinels and servers behind TLS, each with a login of its own.

    A Sentinel names the master as it knows it itself: by a port that takes TLS and plain.
    """
    context = authority.server_context(authority.issue("server", "localhost", "127.0.0.1"))
    door = free_port()
    with sentinels(directory, count=2, password=SECRET, guarded=True, monitored=door) as running:
        proxy = TlsProxy(running.servers[0].port, context, plain_too=True, port=door)
        try:
            with tls_in_front([one.port for one in running.sentinels], context) as doors:
                hosts = ",".join(f"localhost:{one.port}" for one in doors)
                query = f"ssl_ca_certs={authority.file}&sentinel_password={ESCAPED}"
                yield lambda role: f"rediss+sentinel://{PREFIX}{role}:{PASSWORD}@{hosts}/{SERVICE}?{query}"
                assert proxy.secure > 2
        finally:
            proxy.stop()


@contextlib.contextmanager
def plain_sentinel(directory: Path, _authority: Authority) -> Iterator[Urls]:
    """A Sentinel, a master with a password, a database of our own."""
    with sentinels(directory, password=SECRET) as running:
        with redis.Redis(port=running.servers[0].port) as client:
            client.execute_command("ACL", "SETUSER", "shop", "on", f">{SECRET}", "~*", "&*", "+@all")
        query = f"?sentinel_password={ESCAPED}"
        yield lambda role: running.url(f"shop:{ESCAPED}@", tail=f"{SERVICE}/3", query=query)


@contextlib.contextmanager
def users(directory: Path, _authority: Authority) -> Iterator[Urls]:
    """One server with the users of `taskflow acl`; nobody else may come."""
    server = start_server(directory, guarded=True)
    try:
        with redis.Redis(port=server.port) as client:
            client.execute_command("ACL", "SETUSER", "default", "off")
        yield server.url_as
    finally:
        server.stop()


PLACES: dict[str, Callable[[Path, Authority], AbstractContextManager[Urls]]] = {
    "tls": tls_server,
    "tls-sentinel": tls_sentinel,
    "sentinel": plain_sentinel,
    "users": users,
}


@pytest.mark.parametrize("place", PLACES)
def test_tasks_run_over_it_in_threads_and_in_asyncio(place: str, tmp_path: Path, queue: str) -> None:
    """None of these had a server in the everyday suite, so whatever broke there was found by users."""
    with PLACES[place](tmp_path, Authority(tmp_path)) as urls:
        run_tasks(urls, queue)


def test_tasks_run_over_a_cluster_with_tls(cluster: Cluster, tmp_path: Path, queue: str) -> None:
    """Each node tells clients the port that speaks TLS, and the other nodes its own."""
    authority = Authority(tmp_path)
    context = authority.server_context(authority.issue("server", "127.0.0.1"))
    nodes = {node.port: redis.Redis(port=node.port) for node in cluster.nodes if node.port is not None}
    with tls_in_front(list(nodes), context) as doors:
        try:
            for node, door in zip(nodes.values(), doors, strict=True):
                node.config_set("cluster-announce-client-port", door.port)
            wait_for_announcements(list(nodes.values()), {door.port for door in doors})
            url = f"rediss+cluster://127.0.0.1:{doors[0].port}?ssl_ca_certs={authority.file}"
            run_tasks(lambda role: url, queue, *(f"{queue}-{number}" for number in range(3)))
            assert sum(door.secure > 0 for door in doors) >= 2
        finally:
            for node in nodes.values():
                node.config_set("cluster-announce-client-port", 0)
            wait_for_announcements(list(nodes.values()), set(nodes))
            for node in nodes.values():
                node.close()


def wait_for_announcements(nodes: list[redis.Redis], ports: set[int]) -> None:
    """Until every node names exactly these ports."""

    def named(node: redis.Redis) -> set[int]:
        return {int(one[1]) for entry in slots(node) for one in entry[2:]}

    wait_until(lambda: all(named(node) == ports for node in nodes), description="the ports are known")


def slots(node: redis.Redis) -> list[list[list[bytes]]]:
    connection = redis.Connection(port=node.connection_pool.connection_kwargs["port"], protocol=2)
    try:
        connection.send_command("CLUSTER", "SLOTS")
        reply: list[list[list[bytes]]] = connection.read_response(disable_decoding=True)
        return reply
    finally:
        connection.disconnect()


def run_tasks(urls: Urls, *queues: str) -> None:
    """A function and a coroutine, called from a thread and from asyncio; their results come back, and a stop is clean."""
    app = TaskFlow("client", broker=urls("producer"), retention=60)

    @app.task(name="echo")
    def echo(secret: str) -> str:
        return secret

    async def call(name: str) -> object:
        handle = await echo.options(queue=name).adelay(f"{name}-asyncio")
        return await handle.aget(20)

    async def call_all() -> list[object]:
        try:
            return list(await asyncio.gather(*map(call, queues)))
        finally:
            await app.aclose()

    environment = {"TASKFLOW_BROKER": urls("worker")}
    options = {"queues": dict.fromkeys(queues, 1), "concurrency": 2}
    try:
        with WorkerProcess(
            "tests.security.app:plain", broker=urls("worker"), environment=environment, **options
        ) as worker:
            assert [echo.options(queue=name).delay(name).get(20) for name in queues] == [*queues]
            assert asyncio.run(call_all()) == [f"{name}-asyncio" for name in queues]
            assert worker.terminate() == 0
        assert not [line for line in worker.log if "canary" in line or " ERROR " in line], "\n".join(
            worker.log
        )
    finally:
        app.close()


def test_a_tls_connection_that_is_given_up_leaves_its_descriptor_to_others(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose time was over in the moment in which its handshake was done kept its place in the event loop, though its socket
    was closed. Who got the descriptor next was refused with a RuntimeError: on a busy machine a worker's loops failed by it.
    """
    authority = Authority(tmp_path)
    done = sslproto.SSLProtocol._on_handshake_complete  # type: ignore[attr-defined]

    async def run(port: int) -> None:
        loop = asyncio.get_running_loop()
        url = parse(f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.file}")
        opening = asyncio.create_task(
            async_node(url, ("127.0.0.1", port), _NO_GREETING).open(time.monotonic() + 5)
        )

        def done_and_over(protocol: object, error: BaseException | None) -> None:
            done(protocol, error)
            if asyncio.get_running_loop() is loop:
                opening.cancel()

        monkeypatch.setattr(sslproto.SSLProtocol, "_on_handshake_complete", done_and_over)
        await asyncio.gather(opening, return_exceptions=True)
        assert opening.cancelled()
        for _ in range(3):
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, ("127.0.0.1", own_server.port))

    context = authority.server_context(authority.issue("server", "127.0.0.1"))
    with tls_in_front([own_server.port], context) as (proxy,):
        asyncio.run(run(proxy.port))


def test_connections_share_what_tls_needs_until_its_files_are_renewed(tmp_path: Path) -> None:
    """It was read anew for each connection, a tenth of a second in which a worker's event loop stood still."""
    authority = Authority(tmp_path)
    url = parse(f"rediss://h?ssl_ca_certs={authority.file}")
    first = tls_context(url)
    assert tls_context(url) is first
    os.utime(authority.file, ns=(1, 1))
    assert tls_context(url) is not first
    authority.file.unlink()
    assert tls_context(url).verify_mode.name == "CERT_REQUIRED"
