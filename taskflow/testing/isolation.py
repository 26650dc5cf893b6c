"""`sandbox()`: for a test, every app of the process uses a private, empty server, or runs its tasks where they are enqueued."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from ..broker.command import Plain, same
from ..broker.keys import ALL_SERVERS
from ..connection.topology import key_slot
from ..errors import ConfigurationError, InvalidOption
from ..tasks import eager_variable, registry
from ..tasks.app import TaskFlow
from ..tasks.loader import load_app
from .calls import assert_enqueued, assert_nothing_enqueued, enqueued
from .clock import advance, freeze
from .current import Here, stack
from .draining import adrain, drain
from .living import is_living
from .noting import NotingClient, noting_retries
from .servers import Kind, servers
from .worker_process import WorkerProcess
from .worker_thread import WorkerThread

Mode = Literal["server", "cluster", "eager"]
MODES: tuple[Mode, ...] = ("server", "cluster", "eager")


class Sandbox:
    """What `sandbox()` gives, and the fixture `taskflow_sandbox`.

    Attributes:
        mode: "server", "cluster" or "eager".
        url: the broker's URL, for programs that a test starts: it holds no password, but names the directory of the server; ""
            in eager mode.
    """

    assert_enqueued = staticmethod(assert_enqueued)
    assert_nothing_enqueued = staticmethod(assert_nothing_enqueued)
    enqueued = staticmethod(enqueued)
    drain = staticmethod(drain)
    adrain = staticmethod(adrain)
    advance = staticmethod(advance)
    freeze = staticmethod(freeze)

    def __init__(self, mode: Mode, url: str) -> None:
        self.mode = mode
        self.url = url
        self._workers = ExitStack()

    def app(self, spec: str | None = None) -> TaskFlow:
        """An app: the one that `spec` names, as `-A` does, or a new one without tasks, named "test".

        Raises:
            AppNotFound: there is no such app.
        """
        return TaskFlow("test") if spec is None else load_app(spec)

    def worker(
        self,
        app: TaskFlow,
        queues: Mapping[str, int] | Sequence[str] | None = None,
        *,
        concurrency: int = 4,
    ) -> WorkerThread:
        """Start a worker in a thread of this process; it is stopped with the sandbox, if nobody has done so before.

        What a test replaces (`monkeypatch`, `mock.patch`) its tasks see, since they run in this process.

        Args:
            app: whose tasks it runs.
            queues: as for `app.worker()`.
            concurrency: how many at once.
        """
        self._needs_a_broker("a worker")
        return self._workers.enter_context(WorkerThread(app, queues, concurrency=concurrency))

    def worker_process(
        self, spec: str, *options: str, environment: Mapping[str, str] | None = None
    ) -> WorkerProcess:
        """Start `taskflow worker -A spec` in a process of its own, and wait until it takes tasks; stopped with the sandbox.

        Args:
            spec: the app, as for `-A`.
            *options: more of the command's, as "-c", "2".
            environment: variables besides those of this process.
        """
        self._needs_a_broker("a worker")
        return self._workers.enter_context(
            WorkerProcess(spec, self.url, options, environment=environment or {})
        )

    def _needs_a_broker(self, what: str) -> None:
        if self.mode == "eager":
            raise InvalidOption(
                f"in eager mode tasks run where they are enqueued, and {what} would have nothing to do"
            )

    def _end(self) -> None:
        self._workers.close()


@contextmanager
def sandbox(mode: Mode = "server") -> Iterator[Sandbox]:
    """For the time of the block, every app of this process uses a private server that is empty at its beginning.

    It counts for all apps that there are, for those that are made in the block (Flask's factories), and whatever they were
    given as `broker=`, by `use_broker` or in `TASKFLOW_BROKER`: a test cannot reach another server by mistake. The server is
    started by the first block of a process and ends with the process; each block begins and ends by emptying it. Workers that the
    sandbox has started are stopped at its end.

    Args:
        mode: "server"; "cluster": six nodes, which take some seconds to start once; "eager": no server, tasks run where they
            are enqueued (docs/eager.md).

    Raises:
        InvalidOption: there is no such mode.
        ConfigurationError: there is a sandbox around it; at its end: a worker that somebody else has started still runs.
        EmbeddedServerError: the server does not start.

    Example:
        >>> with sandbox() as box:                                  # doctest: +SKIP
        ...     sign_up("ann")
        ...     box.assert_enqueued(welcome, "ann")
    """
    if mode not in MODES:
        raise InvalidOption(f"there is no sandbox {mode!r}; there are {', '.join(MODES)}")
    if stack:
        raise ConfigurationError(
            "there is a sandbox already: all apps of the process use one server, so a test has one (by the fixture "
            "taskflow_sandbox, or with sandbox())"
        )
    if mode == "eager":
        with _eager(value=True):
            yield from _inside(Sandbox(mode, ""), None)
        return
    kind: Kind = mode
    servers.empty(kind)
    with _eager(value=False), _redirected(servers.url(kind)), noting_retries():
        try:
            yield from _inside(Sandbox(mode, servers.name(kind)), kind)
        finally:
            left = _living_workers(kind)
            servers.empty(kind)
    if left:
        raise ConfigurationError(
            f"at the end of the test a worker still runs ({', '.join(left)}): it would take the tasks of the next one. End it, "
            "or have it started by the fixture taskflow_worker, or by sandbox.worker()"
        )


def _inside(box: Sandbox, kind: Kind | None) -> Iterator[Sandbox]:
    stack.append(Here(kind))
    try:
        yield box
    finally:
        try:
            box._end()
        finally:
            stack.pop()


@contextmanager
def _redirected(url: str) -> Iterator[None]:
    """All apps use this broker. What they know of the one before, and have open there, is dropped, and so at the end."""
    _forget_clients()
    registry.redirected = registry.Redirect(url, NotingClient)
    try:
        yield
    finally:
        _forget_clients()
        registry.redirected = None


def _forget_clients() -> None:
    for app in registry.apps():
        if app._client is not None:
            client, app._client = app._client, None
            client.drop()


@contextmanager
def _eager(*, value: bool) -> Iterator[None]:
    """Whether all apps run tasks where they are enqueued; those that are made meanwhile, unless they say so themselves."""
    before = [(app, app.eager) for app in registry.apps()]
    variable = os.environ.get(eager_variable.VARIABLE)
    os.environ[eager_variable.VARIABLE] = str(int(value))
    for app, _ in before:
        app.eager = value
    try:
        yield
    finally:
        for app, was in before:
            app.eager = was
        if variable is None:
            del os.environ[eager_variable.VARIABLE]
        else:
            os.environ[eager_variable.VARIABLE] = variable


def _living_workers(kind: Kind) -> list[str]:
    """The processes of workers that have a record at the server and live: `host:pid`."""
    reply: Any = servers.broker(kind).run(Plain(("ZRANGE", ALL_SERVERS, 0, -1), same, key_slot(ALL_SERVERS)))
    found = [key.decode("utf-8", "replace").removeprefix("asynq:servers:{").rstrip("}") for key in reply]
    return [owner.rpartition(":")[0] for owner in found if is_living(owner)]
