"""Wires the parts of a worker together, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..broker.aio import AsyncBroker
from ..broker.command import Plain
from ..broker.commands.dequeue import backlog
from ..clock import ServerClock
from ..connection.aio import AsyncDriver
from ..connection.url import parse
from ..message.outcome import Outcome
from ..message.report import Report
from ..partitions import DEFAULT_QUEUE
from ..pipe import frames
from ..telemetry.events import WorkerStarted, WorkerStopping, emit
from .banner import banner
from .children.starter import Start
from .children.supervisor import Supervisor
from .config import Identity, WorkerConfig, check_doubtful
from .errands import Errands
from .health.health import Health
from .health.health_file import HealthFile
from .health.troubles import Troubles
from .holding.held_tasks import Held, HeldTasks
from .holding.unwritten import spelled_out
from .launch import Launched
from .parts import Parts
from .relay import Relay
from .serving import Serving
from .stopping import shut_down

if TYPE_CHECKING:
    from .health.health_server import HealthServer
    from .health.systemd import Systemd

logger = logging.getLogger("taskflow.worker")

BACKLOG_SECONDS = 2.0
"""Of a look at whether tasks wait."""

REACH_SECONDS = 4.0
"""A broker that cannot be reached at the start ends the command within 5 s."""


class Worker:
    """A worker process.

    Args:
        config: how it runs.
        start_process: how a child is started, if not as a process.
        launched: children that were started already.
    """

    def __init__(
        self,
        config: WorkerConfig,
        start_process: Start | None = None,
        launched: Sequence[Launched] = (),
    ) -> None:
        self._config = config
        self._identity = Identity()
        self._clock = ServerClock()
        self._held_tasks = HeldTasks()
        self._supervisor = Supervisor(
            config,
            self._outcomes,
            self._room,
            start_process,
            launched,
            backlog=self._has_backlog,
            on_hello=self._learn,
            on_reports=self._reports,
            on_done=self._done,
        )
        self._relay = Relay(self._supervisor.children)
        self._parts: Parts | None = None
        self._serving: Serving | None = None
        self._health: Health | None = None
        self._health_server: HealthServer | None = None
        self._systemd: Systemd | None = None
        self._stop = asyncio.Event()
        self.started = asyncio.Event()
        """Set when it takes tasks."""
        self._grace = config.grace
        self._troubles = Troubles()
        self._errands = Errands()

    async def run(self) -> None:
        """Run until told to stop.

        Raises:
            AppNotFound: the app cannot be imported.
            InvalidOption: a queue that it is to serve is most likely a weight.
            BrokerUnavailable: the broker cannot be reached at the start.
            ServerTooOld: it cannot run the scripts.
        """
        hello = await self._supervisor.start()
        self._relay.learn(hello)
        try:
            check_doubtful(self._config, queues_of(hello))
            broker = await self._reach(self._config.broker or hello.broker)
        except BaseException:
            await self._supervisor.drain(lambda: 0.0)
            raise
        queues = self._queues(hello)
        masters = (await broker.driver.open()).masters()
        self._parts = parts = self._wire(broker, queues, hello, len(masters))
        self._serving = serving = Serving(parts, queues, hello, self._troubles, self._errands, self._stop)
        self._health = health = self._open_health(serving, broker, hello)
        emit(self._started(hello, str(broker.driver.url), queues))
        try:
            serving.start()
            self.started.set()
            await self._stop.wait()
            await shut_down(parts, serving, health, lambda: self._grace)
        finally:
            if self._systemd is not None:
                await self._systemd.stop()
            self._close_health()
            self._relay.close()
            await broker.close()

    # --- how it is, for a program that it is a part of ------------------------------------------------------------

    @property
    def runs(self) -> bool:
        """Whether it has not been told to stop."""
        return not self._stop.is_set()

    @property
    def queues(self) -> Mapping[str, int]:
        """What is served, with weights."""
        return {} if self._serving is None else self._serving.queues

    @property
    def active(self) -> int:
        """How many tasks run now."""
        return len(self._supervisor.running())

    def complaints(self) -> list[str]:
        """What is wrong with it, a sentence each."""
        if self._health is None:
            return []
        why = self._health.state()["why"]
        return [*why] if isinstance(why, list) else []

    # --- what signals do ------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop gracefully; the second time, hand back at once what still runs."""
        again = self._stop.is_set()
        if again:
            self._grace = 0.0
        emit(WorkerStopping(self._grace, again=again))
        self._stop.set()

    def stop_at_once(self) -> None:
        """Stop and hand back at once what runs."""
        if not self._stop.is_set():
            emit(WorkerStopping(0.0))
        self._grace = 0.0
        self._stop.set()

    def quiet(self) -> None:
        """Take nothing more; go on with what runs."""
        if self._serving is not None:
            self._serving.quiet()

    def resume(self) -> None:
        """Take tasks again after `quiet`."""
        if self._serving is not None:
            self._serving.resume()

    def reload(self) -> None:
        """Replace the children: new ones import the app anew, the old ones finish what they run."""
        if self._config.pool == "solo":
            logger.warning(
                "With -P solo your code is part of this process: stop it and start it again for new code"
            )
            return
        logger.info("Restarting the child processes")
        self._errands.begin("the restart of the child processes", self._supervisor.restart())

    def roll(self) -> None:
        """Replace the children one by one, so that no slot and little memory is lost meanwhile."""
        if self._config.pool == "solo":
            self.reload()  # which says why not
            return
        logger.info("Replacing the child processes one by one")
        self._errands.begin("the replacement of the child processes", self._supervisor.roll())

    def dump_stacks(self) -> None:
        """Ask every child for the stacks of its threads and coroutines; each is one block in the log."""
        self._errands.begin("the question for stacks", self._supervisor.ask_for_stacks())

    def _started(self, hello: frames.Hello, broker: str, queues: Mapping[str, int]) -> WorkerStarted:
        summary = banner(self._config, hello, broker, queues)
        return WorkerStarted(hello.app, broker, tuple(queues), summary)

    # --- wiring ---------------------------------------------------------------------------------------------

    async def _reach(self, url: str) -> AsyncBroker:
        broker = AsyncBroker(AsyncDriver(url))
        try:
            await broker.driver.open()
            await broker.run(Plain(("PING",), bytes), REACH_SECONDS)
            # Only now: the children import the app meanwhile, and what only the check needs does not delay their start.
            from .preflight import check_servers

            await check_servers(broker)
        except BaseException:
            await broker.close()
            raise
        return broker

    def _queues(self, hello: frames.Hello) -> Mapping[str, int]:
        """What is served: what the command says, else what the app names."""
        return self._config.queues or queues_of(hello)

    def _wire(self, broker: AsyncBroker, queues: Mapping[str, int], hello: frames.Hello, nodes: int) -> Parts:
        return Parts.wire(
            self._config,
            self._identity,
            self._clock,
            self._held_tasks,
            self._supervisor,
            broker,
            queues=queues,
            waits=sum(hello.partitions.get(queue, 1) for queue in queues),
            nodes=nodes,
            on_outcomes=self._outcomes,
            is_open=self._is_open,
        )

    def _learn(self, hello: frames.Hello) -> None:
        self._relay.learn(hello)
        if self._serving is not None:
            self._serving.learn(self._queues(hello), hello)

    def _open_health(self, serving: Serving, broker: AsyncBroker, hello: frames.Hello) -> Health:
        config, identity = self._config, self._identity
        given = parse(config.broker or hello.broker)
        facts = {
            "app": config.app,
            "name": hello.app,
            "brokers": list(dict.fromkeys([str(broker.driver.url), str(given)])),
            "queues": serving.queues,
            "host": identity.host,
        }
        health = Health(
            serving.services,
            None if config.embedded else HealthFile(facts, identity.pid, identity.server_id[:8]),
            [self._supervisor, self._troubles],
            lambda: (sum(child.takes_work for child in self._supervisor.children), self._supervisor.wanted),
            self._supervisor.counts.all,
        )
        health.troubles = self._troubles
        health.timings = config.timings
        if config.health_port is not None:
            from .health.health_server import HealthServer  # here, for the start-up

            self._health_server = HealthServer(config.health_port, health.state, config.health_host)
        if not config.embedded and "NOTIFY_SOCKET" in os.environ:
            from .health.systemd import Systemd  # here, for the start-up

            self._systemd = Systemd(health.state, lambda: self.runs)
            self._systemd.start()
        health.start()
        return health

    def _close_health(self) -> None:
        if self._health is not None:
            self._health.forget()
        if self._health_server is not None:
            self._health_server.close()

    def _is_open(self) -> bool:
        return self._serving is not None and self._serving.takers.are_open and not self._stop.is_set()

    def _outcomes(self, items: list[tuple[Held, Outcome]]) -> None:
        assert self._parts is not None
        reports = self._parts.reports
        self._parts.acker.add(reports.complete(items) if reports.unwritten else items)

    def _done(self, done: list[Held]) -> None:
        assert self._parts is not None
        if self._parts.reports.unwritten:
            self._outcomes(spelled_out(done))
        else:
            self._parts.acker.add_done(done)

    def _reports(self, items: list[tuple[Held, Report]]) -> None:
        if self._parts is not None:
            self._parts.reports.add(items)

    async def _has_backlog(self) -> bool:
        """Whether any task waits in a queue that is served; False also when nobody can say."""
        if self._parts is None or self._serving is None:
            return False
        names = self._serving.names()
        replies = await self._parts.broker.run_many([backlog(name) for name in names], BACKLOG_SECONDS)
        return any(isinstance(reply, int) and reply > 0 for reply in replies)

    def _room(self) -> None:
        if self._parts is not None and not self._stop.is_set():
            self._parts.allocator.pump()


def queues_of(hello: frames.Hello) -> dict[str, int]:
    """Every queue that the app declares or its tasks name, with weight 1; the default queue when there is none."""
    named = {task.queue for task in hello.tasks} | set(hello.partitions) | set(hello.queues)
    return dict.fromkeys(sorted(named) or [DEFAULT_QUEUE], 1)
