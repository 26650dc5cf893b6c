"""Real servers for the tests: started on free loopback ports, ended by process id."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from taskflow.broker.acl import PREFIX, ROLES, Role, Rule
from taskflow.embedded.binary import find_binary

ONCE = Retry(NoBackoff(), 0)
"""redis-py tries again by itself, also after a refused login, with pauses of up to seconds: not where a test asks again."""

PASSWORD = "of-a-user-in-a-test"
EVERYBODY = "everybody"
TESTS_OWN = ("hgetall", "lmove", "script|flush")
"""What tests send through our drivers, to set a scene or to look at it; taskflow itself never does."""


@dataclass
class Server:
    """A running valkey-server."""

    port: int
    process: subprocess.Popen[bytes]
    directory: Path
    guarded: bool = False
    """Whether it has the users of `taskflow acl` (see `users`)."""

    @property
    def url(self) -> str:
        """Its broker URL; on a guarded server for somebody who may do what any of the users may."""
        return self.url_as(EVERYBODY)

    def url_as(self, user: str) -> str:
        """Its broker URL for one of the users; on a server without users the same for everybody."""
        login = f"{PREFIX}{user}:{PASSWORD}@" if self.guarded else ""
        return f"redis://{login}127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """host:port, as Go's client takes it."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End the process, whatever state it is in."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)


def users(file: Path) -> list[str]:
    """Arguments for a server with the users of `taskflow acl`; without a login everything is still allowed."""
    commands = sorted(set(TESTS_OWN).union(*(role.commands for role in ROLES)))
    channels = sorted({channel for role in ROLES for channel in role.channels})
    everybody = Role(EVERYBODY, "", (), Rule(tuple(commands), ("asynq:*", "taskflow:*")), tuple(channels))
    lines = [role.line(PASSWORD) for role in (*ROLES, everybody)]
    file.write_text("\n".join(["user default on nopass sanitize-payload ~* &* +@all", *lines]) + "\n")
    return ["--aclfile", str(file)]


PORTS = range(10_000, 22_000)
"""Below those that the kernel gives to connections (from 32,768), of which one may take a port before its server does; those of a
cluster's bus, 10,000 above, too."""


def free_port() -> int:
    """A loopback port that nobody listens on right now, with room for the cluster bus above it."""
    while True:
        port = secrets.choice(PORTS)  # `random` says the same in each process of a run
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def start_server(directory: Path, *arguments: str, port: int | None = None, guarded: bool = False) -> Server:
    """Start a server without a password and wait until it answers; `guarded`: with users, too."""
    port = port or free_port()
    if guarded:
        arguments = (*arguments, *users(directory / "users.acl"))
    command = [str(find_binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    command += ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes", *arguments]
    with (directory / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    server = Server(port, process, directory, guarded)
    client = redis.Redis(host="127.0.0.1", port=port, retry=ONCE)

    def answers() -> bool:
        assert process.poll() is None, (directory / "server.log").read_text()[-2000:]
        with contextlib.suppress(redis.exceptions.ConnectionError):
            return bool(client.ping())
        return False

    try:
        wait_until(answers, description="the server answers")
    except BaseException:
        server.stop()
        raise
    finally:
        client.close()
    return server


async def until(holds: Callable[[], object], *, timeout: float = 20) -> None:
    """As `wait_until`, in a coroutine."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.005)


def end(process: subprocess.Popen[bytes], by: int = signal.SIGTERM) -> None:
    """Have a process end by this signal. One that does not within 30 s is killed.

    Raises:
        subprocess.TimeoutExpired: it did not.
    """
    process.send_signal(by)
    try:
        process.wait(30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def wait_until(predicate: Callable[[], object], *, description: str, timeout: float = 20) -> None:
    """Wait until the predicate holds; fail with the description when it does not in `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {description}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
