"""The pytest plugin: fixtures whose names begin with `taskflow_`, the marker `taskflow`, and settings. See docs/testing.md.

pytest imports this module in every run, so nothing else of taskflow is imported before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..tasks.app import TaskFlow
    from .clock import Clock
    from .isolation import Sandbox
    from .worker_process import WorkerProcess
    from .worker_thread import WorkerThread

MARKER = (
    'taskflow(app=None, broker=None, queues=None, concurrency=None): give the test a sandbox of its own: app="shop.tasks:app", '
    'broker="server", "cluster" or "eager"; queues and concurrency are of its worker'
)
WORDS = ("app", "broker", "queues", "concurrency")
SANDBOX = "taskflow_sandbox"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The settings, in the file that has pytest's own."""
    parser.addini("taskflow_app", "the app under test, as commands take it by -A: shop.tasks:app", default="")
    parser.addini("taskflow_broker", "what tests use: server (default), cluster or eager", default="server")
    parser.addini(
        "taskflow_isolate",
        "give every test a sandbox, whether it asks for one or not",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test with the marker has a sandbox, as if it named the fixture; with `taskflow_isolate` every test has."""
    names = getattr(item, "fixturenames", None)
    if names is None or SANDBOX in names:
        return
    if item.get_closest_marker("taskflow") is not None or item.config.getini("taskflow_isolate"):
        names.insert(0, SANDBOX)


def pytest_unconfigure() -> None:
    """End the servers of this process, if a test has started any."""
    import sys  # here, as below: for the start of every pytest run

    found = sys.modules.get("taskflow.testing.servers")
    if found is not None:
        found.servers.stop()


@pytest.fixture
def taskflow_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A private, empty server for this test; all apps of the process use it. See `taskflow.testing.sandbox`."""
    from . import sandbox

    names = request.fixturenames
    mode = _marked(request, "broker") or request.config.getini("taskflow_broker")
    if "taskflow_cluster" in names:
        mode = "cluster"
    elif "taskflow_eager" in names:
        mode = "eager"
    with sandbox(mode) as box:
        yield box


@pytest.fixture
def taskflow_app(request: pytest.FixtureRequest, taskflow_sandbox: Sandbox) -> TaskFlow:
    """The app that `taskflow_app` in the settings, or the marker, names, on the test's server; without a name a new one.

    Override it where your app comes from elsewhere: a fixture of this name in your conftest.py.
    """
    return taskflow_sandbox.app(_spec(request))


@pytest.fixture
def taskflow_eager(taskflow_app: TaskFlow) -> TaskFlow:
    """The app, which runs tasks where they are enqueued; no server."""
    return taskflow_app


@pytest.fixture
def taskflow_cluster(taskflow_sandbox: Sandbox) -> Sandbox:
    """The sandbox, on a cluster of six nodes, which is started once for the session (of each xdist worker)."""
    return taskflow_sandbox


@pytest.fixture
def taskflow_clock(taskflow_sandbox: Sandbox) -> Iterator[Clock]:
    """Time stands still for what is stored, but for `taskflow_clock.advance(seconds)`."""
    with taskflow_sandbox.freeze() as clock:
        yield clock


@pytest.fixture
def taskflow_worker(
    request: pytest.FixtureRequest, taskflow_sandbox: Sandbox, taskflow_app: TaskFlow
) -> WorkerThread:
    """A worker in a thread of this process: it runs what the test enqueues, and sees what the test replaces."""
    return taskflow_sandbox.worker(
        taskflow_app, _marked(request, "queues"), concurrency=_marked(request, "concurrency") or 4
    )


@pytest.fixture
def taskflow_worker_process(request: pytest.FixtureRequest, taskflow_sandbox: Sandbox) -> WorkerProcess:
    """A real `taskflow worker` in a process of its own, for the app that the settings or the marker name."""
    spec = _spec(request)
    if spec is None:
        raise pytest.UsageError(
            "taskflow_worker_process imports the app in another process: say which it is, by taskflow_app = shop.tasks:app in "
            'the settings, or @pytest.mark.taskflow(app="shop.tasks:app")'
        )
    options = [f"--concurrency={_marked(request, 'concurrency') or 4}"]
    options += [f"--queues={queue}" for queue in _marked(request, "queues") or ()]
    return taskflow_sandbox.worker_process(spec, *options)


def _spec(request: pytest.FixtureRequest) -> str | None:
    return _marked(request, "app") or request.config.getini("taskflow_app") or None


def _marked(request: pytest.FixtureRequest, word: str) -> Any:
    """What the nearest marker says."""
    for marker in request.node.iter_markers("taskflow"):
        if marker.args or (unknown := sorted(set(marker.kwargs) - set(WORDS))):
            what = f"{unknown[0]}=" if not marker.args else "positional arguments"
            raise pytest.UsageError(f"@pytest.mark.taskflow takes {', '.join(WORDS)} by name, and no {what}")
        if word in marker.kwargs:
            return marker.kwargs[word]
    return None
