"""Wires the parts of a worker together, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from ..broker import scripts
from ..broker.aio import AsyncBroker
from ..broker.command import Plain
from ..broker.commands.dequeue import BATCH, backlog
from ..clock import ServerClock
from ..connection.aio import AsyncDriver
from ..connection.url import parse
from ..options import DEFAULT_QUEUE
from ..pipe import frames
from .banner import banner
from .children.starter import Start
from .children.supervisor import Supervisor
from .config import Identity, WorkerConfig, check_doubtful
from .descriptors import places as waiting_connections
from .errands import Errands, said
from .health.health import Health
from .health.health_file import HealthFile
from .health.health_server import HealthServer
from .health.troubles import Troubles
from .holding.acker import Acker
from .holding.held_tasks import Held, HeldTasks
from .holding.leases import Leases
from .launch import Launched
from .loops.aggregator import Aggregator
from .loops.forwarder import Forwarder
from .loops.heartbeat import Heartbeat
from .loops.narrow import NarrowBroker
from .loops.recoverer import Janitor, Recoverer
from .loops.subscriber import Subscriber
from .loops.sweeper import Sweeper
from .loops.watches import Burst, Limits
from .service import Service
from .taking.fetcher import Fetcher
from .taking.idle_backoff import IdleBackoff
from .taking.intake import Intake
from .taking.partitions import Partitions
from .taking.places import Places, RollCall
from .taking.slot_allocator import SlotAllocator

logger = logging.getLogger("taskflow.worker")

BACKLOG_SECONDS = 2.0
"""Of a look at whether tasks wait."""

REACH_SECONDS = 4.0
"""A broker that cannot be reached at the start ends the command within 5 s."""

STOP_SECONDS = 10.0
"""How long a stop waits for loops that do not want to end: what is held has to be handed back all the same."""

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
        self._broker: AsyncBroker | None = None
        self._allocator: SlotAllocator | None = None
        self._acker: Acker | None = None
        self._fetchers: list[Fetcher] = []
        self._services: list[Service] = []
        self._queues: dict[str, int] = {}
        self._rules: dict[str, frames.Aggregation] = {}
        self._loops: dict[str, list[Service]] = {}
        """Those of each queue that is served, and of each partition."""
        self._partitions: Partitions | None = None
        self._heartbeat: Heartbeat | None = None
        self._subscriber: Subscriber | None = None
        self._health: Health | None = None
        self._health_server: HealthServer | None = None
        self._stop = asyncio.Event()
        self._grace = config.grace
        self._taking = True
        self._troubles = Troubles()
        self._errands = Errands()
        self._quieting: list[asyncio.Future[None]] = []

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
        self._broker = broker
        queues = self._config.queues or queues_of(hello)
        masters = (await broker.driver.open()).masters()
        self._wire(broker, queues, hello, len(masters))
        self._open_health(broker, hello)
        logger.info(banner(self._config, hello, str(broker.driver.url), queues))
        try:
            for service in self._services:
                service.start()
            await self._stop.wait()
            await self._shut_down()
        finally:
            self._close_health()
            await broker.close()

    # --- what signals do ------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop gracefully; the second time, hand back at once what still runs."""
        if self._stop.is_set():
            self._grace = 0.0
            logger.warning("Stopping at once: running tasks are handed back")
        else:
            logger.info(
                "Stopping: running tasks have %.0f s; stop again to hand them back at once", self._grace
            )
        self._stop.set()

    def stop_at_once(self) -> None:
        """Stop and hand back at once what runs."""
        if not self._stop.is_set():
            logger.info("Stopping at once: running tasks are handed back")
        self._grace = 0.0
        self._stop.set()

    def quiet(self) -> None:
        """Take nothing more; go on with what runs."""
        if self._taking and self._heartbeat is not None:
            self._taking = False
            self._heartbeat.status = "stopped"
            logger.info("Quiet: no more tasks are taken")
            self._quieting = [
                self._errands.begin(f"the stop of the {fetcher.name}", fetcher.stop())
                for fetcher in self._fetchers
            ]

    def resume(self) -> None:
        """Take tasks again after `quiet`."""
        if not self._taking and self._heartbeat is not None and not self._stop.is_set():
            self._taking = True
            self._heartbeat.status = "active"
            logger.info("Taking tasks again")
            self._errands.begin("the start of taking", self._take_again())

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

    # --- wiring ---------------------------------------------------------------------------------------------

    async def _take_again(self) -> None:
        """Not before they have stopped: the stop would end what was just started, for good."""
        await asyncio.gather(*self._quieting)
        for fetcher in self._fetchers:
            if self._taking and not self._stop.is_set() and not fetcher.runs:
                fetcher.start()

    async def _reach(self, url: str) -> AsyncBroker:
        # Before the first task: later their folder may be gone.
        scripts.texts()
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

    def _wire(self, broker: AsyncBroker, queues: Mapping[str, int], hello: frames.Hello, nodes: int) -> None:
        owner = self._identity.owner
        parts = sum(hello.partitions.get(queue, 1) for queue in queues)
        places = Places(waiting_connections(parts, nodes, self._config.children))
        roll_call = RollCall(broker)
        many = NarrowBroker(broker.driver)
        # Verdicts wait for no loop that only looks.
        self._acker = Acker(NarrowBroker(broker.driver), self._held_tasks, self._clock)
        intake = Intake(self._held_tasks, self._supervisor, self._outcomes, self._clock, self._is_open)
        self._allocator = allocator = SlotAllocator(
            queues, strict=self._config.strict, room=self._supervisor.room, most=BATCH
        )
        self._subscriber = subscriber = Subscriber(
            broker, lambda task_id: self._supervisor.broadcast(frames.Cancel(task_id))
        )
        self._queues.update(queues)
        self._rules.update({rule.queue: rule for rule in hello.aggregations})
        rules = self._rules

        def begin(name: str, queue: str) -> None:
            """Serve a queue, or a partition of it."""
            if self._stop.is_set():
                return
            allocator.add(name, queue)
            backoff = IdleBackoff()
            fetcher = Fetcher(
                name,
                owner,
                many,
                allocator,
                intake.take,
                self._held_tasks.receipts,
                self._clock,
                backoff,
                places,
                roll_call,
            )
            self._fetchers.append(fetcher)
            forwarder = Forwarder(name, many, self._clock, backoff)
            subscriber.add(name, forwarder.tell)
            self._loops[name] = loops = [
                forwarder,
                Recoverer(name, many, backoff),
                Janitor(name, many, backoff),
                Sweeper(name, many, backoff, joins=queue in rules),
                *([Aggregator(name, rules[queue], many)] if queue in rules else []),
                fetcher,
            ]
            self._watch(loops)
            for loop in loops:
                if loop is not fetcher or self._taking:
                    loop.start()

        self._partitions = Partitions(queues, hello.partitions, broker, begin, self._leave)
        self._heartbeat = Heartbeat(
            broker,
            self._identity,
            queues,
            published=self._partitions.declared,
            strict=self._config.strict,
            concurrency=self._config.total,
            running=self._supervisor.running,
            clock=self._clock,
        )
        self._watch(
            [
                self._acker,
                roll_call,
                Limits(self._supervisor.watch_limits),
                Leases(broker, self._held_tasks),
                self._heartbeat,
                subscriber,
                self._partitions,
            ]
        )
        if self._config.burst:
            self._watch(
                [Burst(broker, self._clock, self._known_queues, self._held_tasks.__len__, self._stop.set)]
            )

    def _watch(self, services: Sequence[Service]) -> None:
        """Loops whose progress is watched, and whose failures are told."""
        for service in services:
            service.troubles = self._troubles
            service.timings = self._config.timings
        self._services += services

    def _known_queues(self) -> list[str] | None:
        """What is served; None before the first look at what there is."""
        looked = self._partitions is not None and self._partitions.looks
        return list(self._loops) if looked else None

    def _learn(self, hello: frames.Hello) -> None:
        """A new child may know queues that those before it did not: a deployment, then SIGHUP."""
        if (
            self._partitions is None
            or self._allocator is None
            or self._heartbeat is None
            or self._stop.is_set()
        ):
            return
        self._rules.update({rule.queue: rule for rule in hello.aggregations})
        fresh = False
        for queue, weight in (self._config.queues or queues_of(hello)).items():
            self._allocator.declare(queue, weight)
            self._queues.setdefault(queue, weight)
            if self._partitions.declare(queue, hello.partitions.get(queue, 1)):
                logger.info("Serving queue %s as the new code names it", queue)
                fresh = True
        if fresh:
            self._heartbeat.serve(self._queues, self._partitions.declared)

    async def _leave(self, name: str) -> None:
        """Serve a partition no more."""
        loops = self._loops.pop(name)
        self._services[:] = [service for service in self._services if service not in loops]
        self._fetchers[:] = [fetcher for fetcher in self._fetchers if fetcher not in loops]
        await asyncio.gather(*(loop.stop() for loop in loops))
        if self._allocator is not None:
            self._allocator.remove(name)
        if self._subscriber is not None:
            self._subscriber.remove(name)

    def _open_health(self, broker: AsyncBroker, hello: frames.Hello) -> None:
        config, identity = self._config, self._identity
        given = parse(config.broker or hello.broker)
        facts = {
            "app": config.app,
            "name": hello.app,
            "brokers": list(dict.fromkeys([str(broker.driver.url), str(given)])),
            "queues": self._queues,
            "host": identity.host,
        }
        self._health = Health(
            self._services,
            HealthFile(facts, identity.pid, identity.server_id[:8]),
            [self._supervisor, self._troubles],
            lambda: (sum(child.takes_work for child in self._supervisor.children), config.children),
        )
        self._health.troubles = self._troubles
        self._health.timings = config.timings
        if config.health_port is not None:
            self._health_server = HealthServer(config.health_port, self._health.state, config.health_host)
        self._health.start()

    def _close_health(self) -> None:
        if self._health is not None:
            self._health.forget()
        if self._health_server is not None:
            self._health_server.close()

    def _is_open(self) -> bool:
        return self._taking and not self._stop.is_set()

    def _outcomes(self, items: list[tuple[Held, frames.Outcome]]) -> None:
        assert self._acker is not None
        self._acker.add(items)

    async def _has_backlog(self) -> bool:
        """Whether any task waits in a queue that is served; False also when nobody can say."""
        if self._broker is None:
            return False
        replies = await self._broker.run_many([backlog(queue) for queue in self._loops], BACKLOG_SECONDS)
        return any(isinstance(reply, int) and reply > 0 for reply in replies)

    def _room(self) -> None:
        if self._allocator is not None and not self._stop.is_set():
            self._allocator.pump()

    # --- the end --------------------------------------------------------------------------------------------

    async def _shut_down(self) -> None:
        started = time.monotonic()
        assert self._heartbeat is not None
        assert self._acker is not None
        assert self._health is not None
        self._heartbeat.status = "closed"
        with said("the stop of the watch"):
            await self._health.stop()
        with said("the stop of taking"):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(fetcher.stop() for fetcher in self._fetchers))
        with said("the end of the child processes"):
            await self._supervisor.drain(lambda: self._grace)
        with said("the writing of the last verdicts"):
            if not await self._acker.drain(FLUSH_SECONDS):
                logger.error(
                    "%d tasks could not be handed back; their leases end within %d s",
                    len(self._held_tasks),
                    self._config.timings.lease,
                )
        with said("the stop of the loops"):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(service.stop() for service in self._services))
        with said("the removal of the worker's record"):
            await self._heartbeat.clear()
        logger.info("Stopped after %.1f s", time.monotonic() - started)


def queues_of(hello: frames.Hello) -> dict[str, int]:
    """Every queue that the app declares or its tasks name, with weight 1; the default queue when there is none."""
    named = {task.queue for task in hello.tasks} | set(hello.partitions)
    return dict.fromkeys(sorted(named) or [DEFAULT_QUEUE], 1)
