"""Wires the parts of a worker together, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..broker.aio import AsyncBroker
from ..broker.command import Plain
from ..broker.commands.dequeue import backlog
from ..clock import ServerClock
from ..connection.aio import AsyncDriver
from ..connection.url import parse
from ..message.outcome import Outcome
from ..partitions import DEFAULT_QUEUE
from ..pipe import frames
from ..telemetry.events import WorkerStarted, WorkerStopped, WorkerStopping, emit
from ..telemetry.saying import counted
from .banner import banner
from .children.starter import Start
from .children.supervisor import Supervisor
from .config import Identity, WorkerConfig, check_doubtful
from .errands import Errands, said
from .health.health import Health
from .health.health_file import HealthFile
from .health.troubles import Troubles
from .holding.held_tasks import Held, HeldTasks
from .launch import Launched
from .parts import Parts
from .serving import Serving

if TYPE_CHECKING:
    from .health.health_server import HealthServer

logger = logging.getLogger("taskflow.worker")

BACKLOG_SECONDS = 2.0
"""Of a look at whether tasks wait."""

REACH_SECONDS = 4.0
"""A broker that cannot be reached at the start ends the command within 5 s."""

STOP_SECONDS = 10.0
"""How long a stop waits for loops that do not want to end: what is held has to be handed back all the same."""

DELIVERY_SECONDS = 5.0
"""How long a stop waits for followers of the last tasks to be delivered: those that are not, another worker delivers."""

FLUSH_SECONDS = 10.0
"""How long a stop waits for the last verdicts to be written."""


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
        )
        self._parts: Parts | None = None
        self._serving: Serving | None = None
        self._health: Health | None = None
        self._health_server: HealthServer | None = None
        self._stop = asyncio.Event()
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
            await self._stop.wait()
            await self._shut_down(parts, serving, health)
        finally:
            self._close_health()
            await broker.close()

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
            HealthFile(facts, identity.pid, identity.server_id[:8]),
            [self._supervisor, self._troubles],
            lambda: (sum(child.takes_work for child in self._supervisor.children), config.children),
            self._supervisor.counts.all,
        )
        health.troubles = self._troubles
        health.timings = config.timings
        if config.health_port is not None:
            from .health.health_server import HealthServer  # here, for the start-up

            self._health_server = HealthServer(config.health_port, health.state, config.health_host)
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
        self._parts.acker.add(items)

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

    # --- the end --------------------------------------------------------------------------------------------

    async def _shut_down(self, parts: Parts, serving: Serving, health: Health) -> None:
        started = time.monotonic()
        serving.status = "closed"
        with said("the stop of the watch"):
            await health.stop()
        with said("the stop of taking"):
            async with asyncio.timeout(STOP_SECONDS):
                await serving.takers.stop()
        with said("the end of the child processes"):
            await self._supervisor.drain(lambda: self._grace)
        with said("the writing of the last verdicts"):
            if not await parts.acker.drain(FLUSH_SECONDS):
                logger.error(
                    "%s could not be handed back; every lease ends within %d s",
                    counted(len(self._held_tasks), "task"),
                    self._config.timings.lease,
                )
        with said("the delivery of the last followers"):
            await parts.courier.drain(DELIVERY_SECONDS)
        with said("the stop of the loops"):
            async with asyncio.timeout(STOP_SECONDS):
                await serving.stop()
        with said("the removal of the worker's record"):
            await serving.clear()
        ended = self._supervisor.counts.sum()
        emit(WorkerStopped(time.monotonic() - started, ended.count, ended.failures))


def queues_of(hello: frames.Hello) -> dict[str, int]:
    """Every queue that the app declares or its tasks name, with weight 1; the default queue when there is none."""
    named = {task.queue for task in hello.tasks} | set(hello.partitions)
    return dict.fromkeys(sorted(named) or [DEFAULT_QUEUE], 1)
