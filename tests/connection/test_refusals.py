"""A server that will not serve us whatever we try: one clear error at once, at a call, a worker's start, a command."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import click.testing
import pytest
import redis

from taskflow import TaskFlow, errors
from taskflow.cli.main import main
from taskflow.connection.url import parse
from tests.conftest import Cluster
from tests.sentinels import Sentinels, sentinels
from tests.servers import Server, start_server
from tests.tls import Authority, TlsProxy
from tests.workers import WorkerProcess

CANARY = "canary-7c1f"
"""Every password here."""

AT_ONCE = 3.0
"""Seconds; what is tried again until the deadline takes 5 and more."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a password, and a user that may not choose a database."""
    server = start_server(tmp_path_factory.mktemp("password"))
    with redis.Redis(port=server.port) as client:
        client.execute_command("ACL", "SETUSER", "narrow", "on", f">{CANARY}", "~*", "&*", "+@all", "-select")
        client.config_set("requirepass", CANARY)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    """A Sentinel with a password, and a master with none."""
    with sentinels(tmp_path_factory.mktemp("sentinel"), password=CANARY) as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def delay(url: str) -> None:
    app = TaskFlow("client", broker=url)
    try:
        app.task(name="t")(lambda: None).delay()
    finally:
        app.close()


def adelay(url: str) -> None:
    async def run() -> None:
        app = TaskFlow("client", broker=url)
        try:
            await app.task(name="t")(lambda: None).adelay()
        finally:
            await app.aclose()

    asyncio.run(run())


def said_at_once(url: str, *says: str, kind: type[errors.TaskFlowError] = errors.BrokerAuthError) -> None:
    """Threads, asyncio and a command: each ends at once, with these words and without the password."""
    for call in (delay, adelay):
        started = time.monotonic()
        with pytest.raises(kind) as raised:
            call(url)
        assert time.monotonic() - started < AT_ONCE
        check(str(raised.value), says)
    started = time.monotonic()
    result = click.testing.CliRunner().invoke(main, ["-b", url, "queue", "ls"])
    assert time.monotonic() - started < AT_ONCE
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    check(result.output, says)


def check(text: str, says: Sequence[str]) -> None:
    assert not [word for word in says if word not in text], text
    assert CANARY not in text


NO_PASSWORD = "asks for a password, and the URL has none; write redis://user:password@"
WRONG_PASSWORD = "refused the login"


def test_no_password_for_a_server_that_has_one_is_said_in_one_line(server: Server) -> None:
    """It was "script 'enqueue' failed: unauthenticated multibulk length", which says nothing to anybody."""
    said_at_once(f"redis://127.0.0.1:{server.port}", NO_PASSWORD, f"127.0.0.1:{server.port}")
    said_at_once(f"redis://127.0.0.1:{server.port}/3", NO_PASSWORD)


def test_a_wrong_password_is_said_in_one_line(server: Server) -> None:
    said_at_once(f"redis://:{CANARY}x@127.0.0.1:{server.port}", WRONG_PASSWORD)
    said_at_once(f"redis://nobody:{CANARY}x@127.0.0.1:{server.port}", WRONG_PASSWORD, "of user 'nobody'")


def test_a_password_that_stands_where_a_user_belongs_is_not_shown(server: Server) -> None:
    """`redis://secret@host`, the colon forgotten: the error called the password by its name, as a user."""
    said_at_once(
        f"redis://{CANARY}@127.0.0.1:{server.port}",
        WRONG_PASSWORD,
        f"a user and no password; if it is the password, write redis://:password@127.0.0.1:{server.port}",
    )
    assert CANARY not in repr(parse(f"redis://{CANARY}@127.0.0.1:{server.port}"))


def test_a_password_for_a_server_that_has_none_is_said_in_one_line(own_server: Server) -> None:
    said_at_once(
        f"redis://:{CANARY}@127.0.0.1:{own_server.port}", "has no password, and the URL gives a password"
    )


def test_a_database_out_of_range_is_said_in_one_line(server: Server) -> None:
    """It was redis-py's ResponseError."""
    url = f"redis://:{CANARY}@127.0.0.1:{server.port}/99"
    said_at_once(url, "has no database 99", kind=errors.BrokerMismatch)


def test_a_user_who_may_not_choose_a_database_is_told_so(server: Server) -> None:
    """It was redis-py's NoPermissionError."""
    said_at_once(
        f"redis://narrow:{CANARY}@127.0.0.1:{server.port}/1", "does not let user 'narrow' choose database 1"
    )


def test_what_may_pass_is_still_waited_for(tmp_path: Path) -> None:
    """A server that is not there yet is no refusal: the call goes on until its deadline."""
    server = start_server(tmp_path)
    server.stop()
    app = TaskFlow("client", broker=f"redis://127.0.0.1:{server.port}", enqueue_timeout=0.5)
    with pytest.raises(errors.BrokerUnavailable):
        app.task(name="t")(lambda: None).delay()
    app.close()


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_worker_ends_at_its_start_with_that_line(server: Server, pool: str) -> None:
    cases = {
        f"redis://127.0.0.1:{server.port}": NO_PASSWORD,
        f"redis://:{CANARY}x@127.0.0.1:{server.port}": WRONG_PASSWORD,
        f"redis://:{CANARY}@127.0.0.1:{server.port}/99": "has no database 99",
    }
    with ExitStack() as stack:
        options = {"ready": False, "environment": {"TASKFLOW_BROKER": ""}, "pool": pool}
        started = [
            (stack.enter_context(WorkerProcess("tests.lifecycle.app", broker=url, **options)), says)
            for url, says in cases.items()
        ]
        for worker, says in started:
            assert worker.wait(30) == 2
            line = worker.wait_for_log("Error: ")
            check(line, [says])
            assert not [one for one in worker.log if CANARY in one or "Traceback" in one]


# --- Sentinel -------------------------------------------------------------------------------------------------


def test_a_missing_sentinel_password_is_the_sentinels(watched: Sentinels) -> None:
    """It was called the server's, and setting that one did not help."""
    said_at_once(watched.url(), "the Sentinel at 127.0.0.1:", "sentinel_password=")


def test_a_wrong_sentinel_password_is_the_sentinels(watched: Sentinels) -> None:
    said_at_once(
        watched.url(query=f"?sentinel_password={CANARY}x"),
        "the Sentinel at",
        "correct sentinel_username and sentinel_password",
    )


def test_a_service_that_no_sentinel_knows_is_said_with_those_that_they_know(watched: Sentinels) -> None:
    """It was "no node is known to serve this key slot", after five seconds."""
    said_at_once(
        watched.url(tail="mian", query=f"?sentinel_password={CANARY}"),
        "the Sentinels know no service 'mian'; they know main",
        kind=errors.BrokerMismatch,
    )


def test_the_server_behind_a_sentinel_says_what_it_says_alone(watched: Sentinels) -> None:
    query = f"?sentinel_password={CANARY}"
    said_at_once(watched.url(tail="main/99", query=query), "has no database 99", kind=errors.BrokerMismatch)
    said_at_once(watched.url(f":{CANARY}@", query=query), "the server at 127.0.0.1:", "has no password")


def test_a_server_is_no_sentinel_and_a_sentinel_no_server(own_server: Server, watched: Sentinels) -> None:
    url = f"redis+sentinel://127.0.0.1:{own_server.port}/main"
    said_at_once(url, "is no Sentinel; use redis:// for one server", kind=errors.BrokerMismatch)
    url = f"redis://:{CANARY}@127.0.0.1:{watched.sentinels[0].port}"
    with pytest.raises(errors.BrokerMismatch, match=r"is it a Sentinel\? Then use redis\+sentinel://"):
        delay(url)


# --- Cluster --------------------------------------------------------------------------------------------------


def test_one_server_named_as_a_cluster_says_so(own_server: Server) -> None:
    said_at_once(
        f"redis+cluster://127.0.0.1:{own_server.port}",
        "is not a cluster; use redis:// for one server",
        kind=errors.BrokerMismatch,
    )


@pytest.fixture
def locked(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with a password for a while."""
    nodes = [redis.Redis(port=node.port) for node in cluster.nodes]
    for node in nodes:
        node.config_set("masterauth", CANARY)
    for node in nodes:
        node.config_set("requirepass", CANARY)
    yield cluster
    for node in nodes:
        node.config_set("requirepass", "")
    for node in nodes:
        node.config_set("masterauth", "")  # with one, a replica could not log in where none is asked for
        node.close()


def test_a_cluster_with_a_password_says_what_one_server_says(locked: Cluster) -> None:
    hosts = locked.url.partition("://")[2]
    said_at_once(
        f"redis+cluster://{hosts}", "asks for a password, and the URL has none; write redis+cluster://"
    )
    said_at_once(f"redis+cluster://:{CANARY}x@{hosts}", WRONG_PASSWORD)


def queues_elsewhere(cluster: Cluster, port: int) -> Iterator[str]:
    for number in range(1000):
        if cluster.master_of(f"lost{number}").port != port:
            yield f"lost{number}"


def test_a_node_of_a_cluster_is_no_server_of_its_own(cluster: Cluster) -> None:
    """With `redis://` one queue of three worked, and the calls for the others failed after five seconds each."""
    master = next(node for node in cluster.nodes if node.role == "master" and node.alive)
    assert master.port is not None
    url = f"redis://127.0.0.1:{master.port}"
    says = f"this is a node of a cluster; use redis+cluster://127.0.0.1:{master.port}"
    name = next(queues_elsewhere(cluster, master.port))
    app = TaskFlow("client", broker=url, queue=name)
    task = app.task(name="t")(lambda: None)
    calls: list[Callable[[], object]] = [task.delay, lambda: asyncio.run(_adelay(url, name))]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(errors.BrokerMismatch) as raised:
            call()
        assert time.monotonic() - started < AT_ONCE
        assert says in str(raised.value)
    app.close()
    with WorkerProcess("tests.lifecycle.app", broker=url, ready=False) as worker:
        assert worker.wait(30) == 2
        assert says in worker.wait_for_log("Error: ")
    said_at_once(f"{url}/1", "has no database 1", kind=errors.BrokerMismatch)


def test_the_list_of_queues_says_once_that_the_url_names_a_node_of_a_cluster(cluster: Cluster) -> None:
    """The node that holds the index listed all queues as `unavailable`, with a warning of the same words for each."""
    app = TaskFlow("client", broker=cluster.url)
    for number in range(6):
        app.task(name=f"listed{number}", queue=f"listed{number}")(lambda: None).delay()
    app.close()
    for node in cluster.nodes:
        if node.role != "master" or not node.alive:
            continue
        url = f"redis://127.0.0.1:{node.port}"
        result = click.testing.CliRunner().invoke(main, ["queue", "ls", "-b", url])
        assert result.exit_code == 2
        says = f"this is a node of a cluster; use redis+cluster://127.0.0.1:{node.port}"
        assert result.output == f"Error: {url}: {says}\n"


async def _adelay(url: str, queue: str) -> None:
    app = TaskFlow("client", broker=url, queue=queue)
    try:
        await app.task(name="t")(lambda: None).adelay()
    finally:
        await app.aclose()


# --- TLS ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option", ["ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs=none&ssl_check_hostnam=no", "ssl_cert_reqs="]
)
def test_an_option_of_tls_that_is_wrong_is_refused_where_it_is_written(option: str) -> None:
    """`ssl_cert_reqs=CERT_NONE`, as Celery has it, was redis-py's RedisError at the first call."""
    with pytest.raises(errors.InvalidBrokerURL, match="ssl_c"):
        TaskFlow("client", broker=f"rediss://:{CANARY}@h?{option}")


def test_files_of_tls_that_are_wrong_are_said_in_one_line(
    tmp_path: Path, authority: Authority, own_server: Server
) -> None:
    """A wrong path of ssl_ca_certs looked like a server that is away, for five seconds."""
    mine = authority.issue("mine")
    other = authority.issue("other")
    (tmp_path / "text.pem").write_text("no certificate")
    where = f"127.0.0.1:{own_server.port}"
    for query, says in {
        f"ssl_ca_certs={tmp_path}/none.pem": "none.pem' of ssl_ca_certs cannot be read: No such file",
        f"ssl_ca_certs={tmp_path}": "of ssl_ca_certs cannot be read: Is a directory",
        f"ssl_ca_certs={tmp_path}/text.pem": "has no certificates in PEM form",
        f"ssl_certfile={tmp_path}/none.pem": "of ssl_certfile cannot be read",
        f"ssl_certfile={mine.certificate}&ssl_keyfile={tmp_path}/none": "of ssl_keyfile cannot be read",
        f"ssl_certfile={mine.certificate}&ssl_keyfile={other.key}": "ssl_certfile and ssl_keyfile cannot be used",
    }.items():
        for scheme, tail in (("rediss", ""), ("rediss+sentinel", "/main"), ("rediss+cluster", "")):
            url = f"{scheme}://:{CANARY}@{where}{tail}?{query}"
            said_at_once(url, says, kind=errors.InvalidBrokerURL)


def test_a_certificate_that_is_not_trusted_is_said_in_one_line(
    authority: Authority, own_server: Server
) -> None:
    """It was "is the server running, and is the URL right?", after five seconds."""
    elsewhere = authority.issue("elsewhere", "elsewhere.example")
    proxy = TlsProxy(own_server.port, authority.server_context(elsewhere))
    try:
        url = f"rediss://127.0.0.1:{proxy.port}"
        said_at_once(url, "not trusted", "?ssl_ca_certs=", kind=errors.BrokerMismatch)
        trusting = f"?ssl_ca_certs={authority.file}"
        said_at_once(url + trusting, "not trusted", "ssl_check_hostname=no", kind=errors.BrokerMismatch)
        delay(f"{url}{trusting}&ssl_check_hostname=no")
        adelay(f"{url}{trusting}&ssl_check_hostname=no")
        delay(f"{url}?ssl_cert_reqs=none")
        cluster_url = f"rediss+cluster://127.0.0.1:{proxy.port}"
        said_at_once(cluster_url, "not trusted", "?ssl_ca_certs=", kind=errors.BrokerMismatch)
    finally:
        proxy.stop()


class Answers(socketserver.BaseRequestHandler):
    """Says one line to whatever comes; with TLS it wants a certificate of the client's first."""

    def handle(self) -> None:
        context: ssl.SSLContext | None = self.server.context  # type: ignore[attr-defined]
        connection: socket.socket = self.request
        with contextlib.suppress(OSError):
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            connection.recv(1000)
            connection.sendall(b"220 mail.example\r\n")
            connection.recv(1000)
        connection.close()


@contextlib.contextmanager
def answering(context: ssl.SSLContext | None = None) -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as server:
        server.context = context  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_certificate_of_ours_says_so(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    """With TLS 1.3 it says so only after the handshake, in place of the first reply."""
    context = authority.server_context(authority.issue("here", "127.0.0.1"), ask_clients=True)
    context.maximum_version = version
    with answering(context) as port:
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.file}"
        said_at_once(url, "certificate of ours", kind=errors.BrokerMismatch)


def test_tls_to_a_server_without_it_is_said_in_one_line() -> None:
    with answering() as port:
        said_at_once(
            f"rediss://127.0.0.1:{port}", "does not speak TLS; use redis://", kind=errors.BrokerMismatch
        )


def test_tls_to_a_real_server_without_it_is_a_question_that_the_error_asks(server: Server) -> None:
    """Valkey waits for the end of a line, and a TLS client for its answer: all that is known is that nobody spoke."""
    url = server.url.replace("redis://", "rediss://")
    app = TaskFlow("client", broker=url, enqueue_timeout=0.5)
    task = app.task(name="t")(lambda: None)
    calls: list[Callable[[], object]] = [task.delay, lambda: asyncio.run(task.adelay())]
    for call in calls:
        with pytest.raises(errors.BrokerUnavailable) as raised:
            call()
        assert "does it speak TLS (redis:// is without it)" in str(raised.value)
    app.close()
