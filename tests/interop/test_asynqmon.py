"""docs/asynqmon.md is true: Asynq's web page, the very program that the page tells one to run, shows what taskflow has stored."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskflow import TaskFlow
from tests.conftest import Cluster
from tests.interop.golang import CACHE_DIR, GoUnavailable, build_peer
from tests.servers import Server, free_port, wait_until
from tests.workers import WorkerProcess

pytestmark = pytest.mark.interop

SOURCES = Path(__file__).parents[2] / "examples" / "asynqmon"

APP = """
from taskflow import TaskFlow, Reject

app = TaskFlow("shop", broker={broker!r}, retention=600, queues={{{images!r}: {{"partitions": 2}}}})

@app.task(queue={images!r}, name="images:resize")
def resize(src: str) -> str:
    return "small " + src

@app.task(queue={mail!r}, name="mail:greet")
def greet(to: int) -> None:
    raise Reject("no such address")
"""

Get = Callable[[str], Any]


@pytest.fixture(scope="session")
def program() -> Path:
    """The executable of examples/asynqmon; without Go the test is skipped, but in CI it fails."""
    try:
        return build_peer(CACHE_DIR, SOURCES)
    except GoUnavailable as error:
        reason = str(error)
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def serving(program: Path, *flags: str) -> Iterator[Get]:
    """The page on a port of its own; gives what its API answers."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen([str(program), "-listen", address, *flags], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert f"http://{address}" in process.stderr.readline()

        def get(path: str) -> Any:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as reply:
                body = reply.read()
            return json.loads(body) if path.startswith("/api/") else body.decode()

        yield get
    finally:
        process.kill()
        process.wait(25)
        process.stderr.close()


def look(get: Get, broker: str, project: Path, queue: str) -> None:
    """A worker runs a task that succeeds, one that is archived, and leaves one for tomorrow; the page shows all of it."""
    images, mail = f"{queue}-images", f"{queue}-mail"
    (project / "shop.py").write_text(APP.format(broker=broker, images=images, mail=mail))
    namespace: dict[str, Any] = {}
    exec((project / "shop.py").read_text(), namespace)
    app: TaskFlow = namespace["app"]
    try:
        with WorkerProcess("shop", directory=project, concurrency=2):
            assert namespace["resize"].delay("a.png").get(timeout=20) == "small a.png"
            namespace["greet"].options(id="lost").delay(1)
            namespace["greet"].options(id="tomorrow", delay=86400).delay(2)
            wait_until(lambda: app.result("lost", queue=mail).state == "archived", description="archived")
            wait_until(lambda: ours(get, mail), description="the worker has shown itself")
            (server,) = ours(get, mail)
        assert server["concurrency"] == 2
        assert server["queue_priorities"] == {images: 1, mail: 1}
        queues = {queue["queue"]: queue for queue in get("/api/queues")["queues"]}
        partitions = [name for name in queues if name == images or name.startswith(f"{images}~")]
        assert sum(queues[name]["completed"] for name in partitions) == 1
        assert (queues[mail]["archived"], queues[mail]["scheduled"]) == (1, 1)
        (archived,) = get(f"/api/queues/{mail}/archived_tasks")["tasks"]
        assert (archived["id"], archived["payload"]) == ("lost", '{"to":1}')
        assert "no such address" in archived["error_message"]
        (scheduled,) = get(f"/api/queues/{mail}/scheduled_tasks")["tasks"]
        assert scheduled["id"] == "tomorrow"
        assert '<div id="root">' in get("/")
    finally:
        app.close()


def ours(get: Get, queue: str) -> list[Any]:
    """The workers that serve this queue."""
    return [server for server in get("/api/servers")["servers"] if queue in server["queue_priorities"]]


def test_asynqmon_shows_what_taskflow_stores_on_one_server(
    program: Path, valkey: Server, project: Path, queue: str
) -> None:
    with serving(program, "-redis", valkey.url) as get:
        look(get, valkey.url, project, queue)


def test_asynqmon_shows_what_taskflow_stores_on_a_cluster(
    program: Path, cluster: Cluster, project: Path, queue: str
) -> None:
    with serving(program, "-cluster", cluster.address.removeprefix("cluster:")) as get:
        look(get, cluster.url, project, queue)
