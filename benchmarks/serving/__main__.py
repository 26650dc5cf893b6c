"""How many connections and files requests that enqueue leave behind: `python -m benchmarks.serving`.

Flask under gunicorn with --preload, whose first process has enqueued before the fork, and FastAPI under uvicorn, each with two
processes. Of four requests three go to the usual kind of view and one to the other (a coroutine in Flask, a function in FastAPI).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from tests.servers import end

from ..server import Server, free_port, running

PROCESSES = 2
THREADS = 4
"""Of each of gunicorn's processes."""

COMMANDS = {
    "flask": f"gunicorn --preload --workers={PROCESSES} --threads={THREADS} --bind=127.0.0.1:{{port}} --no-control-socket "
    "benchmarks.serving.flask_app:create_app()",
    "fastapi": f"uvicorn --workers={PROCESSES} --port={{port}} --log-level=warning benchmarks.serving.fastapi_app:api",
}


@dataclass(frozen=True)
class Figures:
    """What was seen of one framework.

    Args:
        requests: how many were sent.
        enqueued: how many tasks there are afterwards.
        refused: requests that were not answered with 200.
        connections: of the web server to the broker: before, in the middle, at the end.
        files: that its processes have open: likewise.
        inherited: commands that the connection of gunicorn's first process has run since the fork.
        seconds: for all requests.
    """

    requests: int
    enqueued: int
    refused: int
    connections: tuple[int, int, int]
    files: tuple[int, int, int]
    inherited: int
    seconds: float


@contextlib.contextmanager
def serving(framework: str, broker: str, folder: Path) -> Iterator[tuple[str, int]]:
    """The web server of a framework; its address, and its process id."""
    port = free_port()
    command = COMMANDS[framework].format(port=port).split()
    log = folder / f"{framework}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            # uvicorn kills a process that does not answer within 5 s, as on a machine that does much else.
            env={**os.environ, "TASKFLOW_BROKER": broker, "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while not _answers(f"{url}/nothing-is-here"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise click.ClickException(f"{framework} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield url, process.pid
    finally:
        end(process)


def measure(server: Server, framework: str, folder: Path, *, requests: int, clients: int) -> Figures:
    """Send requests, and look before, in the middle and at the end."""
    server.flush()
    with serving(framework, server.url, folder) as (url, pid):
        before = _connections(server)
        began = _tasks(server)
        looks = [(len(before), _files(pid))]
        started = time.monotonic()
        refused = 0
        with ThreadPoolExecutor(clients) as threads:
            for half in (requests // 2, requests - requests // 2):
                paths = [url + ("/other" if number % 4 == 3 else "/") for number in range(half)]
                refused += sum(not well for well in threads.map(_enqueues, paths))
                looks.append((len(_connections(server)), _files(pid)))
        seconds = time.monotonic() - started
        after = _connections(server)
        inherited = sum(after[one] - commands for one, commands in before.items() if one in after)
        enqueued = _tasks(server) - began
    connections, files = zip(*looks, strict=True)
    return Figures(requests, enqueued, refused, connections, files, inherited, seconds)


def _answers(url: str) -> bool:
    """Whether anybody is there, whatever the answer is."""
    try:
        urllib.request.urlopen(url, timeout=30).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def _enqueues(url: str) -> bool:
    """Whether a request is answered well."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bool(answer.read())
    except OSError:
        return False


def _tasks(server: Server) -> int:
    """Tasks that wait."""
    return int(server.client.llen("asynq:{default}:pending"))


def _connections(server: Server) -> dict[str, int]:
    """The connections of others, each with the number of commands that it has run."""
    own = str(server.client.client_id())
    return {one["id"]: int(one["tot-cmds"]) for one in server.client.client_list() if one["id"] != own}


def _files(pid: int) -> int:
    """The files that a process, and those that it has started, have open."""
    with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return len(os.listdir(f"/proc/{pid}/fd")) + sum(_files(int(child)) for child in children)
    return 0


@click.command()
@click.option("--requests", default=1000, show_default=True, help="That are sent to each.")
@click.option("--clients", default=16, show_default=True, help="That send at once.")
def main(requests: int, clients: int) -> None:
    """Connections to the broker and open files of a web server, before, in the middle of and after its requests."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        for framework in COMMANDS:
            seen = measure(server, framework, Path(folder), requests=requests, clients=clients)
            click.echo(
                f"{framework}: {seen.requests} requests in {seen.seconds:.1f} s, {seen.refused} refused, {seen.enqueued} tasks; "
                f"connections {_arrows(seen.connections)}, files {_arrows(seen.files)}; "
                f"{seen.inherited} commands on the first process's connection"
            )


def _arrows(figures: tuple[int, ...]) -> str:
    return " -> ".join(map(str, figures))


if __name__ == "__main__":
    main()
