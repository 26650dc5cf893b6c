"""Wires the parts of a worker together, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence

from ..broker.aio import AsyncBroker
from ..broker.command import Plain
from ..broker.commands.dequeue import BATCH, Taken, backlog
from ..clock import ServerClock
from ..connection.aio import AsyncDriver
from ..errors import BrokerError
from ..options import DEFAULT_QUEUE
from ..pipe import frames
from ..states import Verb
from .acker import Acker
from .banner import banner
from .check import file_for
from .config import Identity, WorkerConfig, check_doubtful
from .crowd import Crowd
from .fetcher import Fetcher
from .health import Health, HealthServer
from .heartbeat import Heartbeat
from .holdings import Held, Holdings
from .launch import Launched
from .leases import Leases
from .maintenance.aggregator import Aggregator
from .maintenance.forwarder import Forwarder
from .maintenance.recoverer import Janitor, Recoverer
from .maintenance.sweeper import Sweeper
from .partitions import Partitions
from .poison import MOST_CRASHES, archive_poison
from .service import Service
from .shares import Shares
from .subscriber import Subscriber
from .supervisor import Starter, Supervisor

logger = logging.getLogger("taskflow.worker")

LIMITS_PERIOD = 0.025
"""Seconds between two looks at what should have started or ended."""

BURST_PERIOD = 0.05
REACH_SECONDS = 4.0
"""A broker that cannot be reached at the start ends the command within 5 s."""

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
        start_process: Starter | None = None,
        launched: Sequence[Launched] = (),
    ) -> None:
        self._config = config
        self._identity = Identity()
        self._clock = ServerClock()
        self._holdings = Holdings()
        self._supervisor = Supervisor(config, self._outcomes, self._room, start_process, launched)
        self._shares: Shares | None = None
        self._acker: Acker | None = None
        self._fetchers: list[Fetcher] = []
        self._services: list[Service] = []
        self._loops: dict[str, list[Service]] = {}
        """Those of each queue that is served, and of each partition."""
        self._partitions: Partitions | None = None
        self._heartbeat: Heartbeat | None = None
        self._health: Health | None = None
        self._health_server: HealthServer | None = None
        self._stop = asyncio.Event()
        self._grace = config.grace
        self._taking = True

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
        queues = self._config.queues or queues_of(hello)
        self._wire(broker, queues, hello)
        self._open_health()
        logger.info(banner(self._config, hello, str(broker.driver.url), queues))
        try:
            for service in self._services:
                service.start()
            watches = [asyncio.create_task(self._watch_limits(), name="limits")]
            if self._config.burst:
                watches.append(asyncio.create_task(self._watch_burst(broker), name="burst"))
            await self._stop.wait()
            await self._shut_down(watches)
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

    def quiet(self) -> None:
        """Take nothing more; go on with what runs."""
        if self._taking and self._heartbeat is not None:
            self._taking = False
            self._heartbeat.status = "stopped"
            logger.info("Quiet: no more tasks are taken")
            self._quieting = [asyncio.ensure_future(fetcher.stop()) for fetcher in self._fetchers]

    def resume(self) -> None:
        """Take tasks again after `quiet`."""
        if not self._taking and self._heartbeat is not None and not self._stop.is_set():
            self._taking = True
            self._heartbeat.status = "active"
            logger.info("Taking tasks again")
            for fetcher in self._fetchers:
                fetcher.start()

    def reload(self) -> None:
        """Replace the children: new ones import the app anew, the old ones finish what they run."""
        logger.info("Restarting the child processes")
        self._reloading = asyncio.ensure_future(self._supervisor.restart())

    def dump_stacks(self) -> None:
        """Let every child write the stacks of its threads to standard error."""
        self._supervisor.broadcast(frames.DumpStacks())

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

    def _wire(self, broker: AsyncBroker, queues: Mapping[str, int], hello: frames.Hello) -> None:
        owner = self._identity.owner
        self._acker = Acker(broker, self._holdings, self._clock)
        self._shares = shares = Shares(
            queues, strict=self._config.strict, room=self._supervisor.room, most=BATCH
        )
        rules = {rule.queue: rule for rule in hello.aggregations}

        def begin(name: str, queue: str) -> None:
            """Serve a queue, or a partition of it."""
            if self._stop.is_set():
                return
            shares.add(name, queue)
            crowd = Crowd()
            fetcher = Fetcher(
                name, owner, broker, shares, self._take, self._holdings.receipts, self._clock, crowd
            )
            self._fetchers.append(fetcher)
            self._loops[name] = loops = [
                Forwarder(name, broker, self._clock, crowd),
                Recoverer(name, broker, crowd),
                Janitor(name, broker, crowd),
                Sweeper(name, broker, crowd),
                *([Aggregator(name, rules[queue], broker)] if queue in rules else []),
                fetcher,
            ]
            self._services += loops
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
        self._services += [
            Leases(broker, self._holdings),
            self._heartbeat,
            Subscriber(broker, lambda task_id: self._supervisor.broadcast(frames.Cancel(task_id))),
            self._partitions,
        ]

    async def _leave(self, name: str) -> None:
        """Serve a partition no more."""
        loops = self._loops.pop(name)
        self._services[:] = [service for service in self._services if service not in loops]
        self._fetchers[:] = [fetcher for fetcher in self._fetchers if fetcher not in loops]
        await asyncio.gather(*(loop.stop() for loop in loops))
        if self._shares is not None:
            self._shares.remove(name)

    def _open_health(self) -> None:
        self._health = Health(self._services, file_for(self._config.app, self._identity.pid))
        if self._config.health_port is not None:
            self._health_server = HealthServer(self._config.health_port, self._health.state)
        self._health.start()

    def _close_health(self) -> None:
        if self._health is not None:
            self._health.forget()
        if self._health_server is not None:
            self._health_server.close()

    def _take(self, queue: str, tasks: list[Taken]) -> None:
        now = time.monotonic()
        items = [Held(queue, taken, now) for taken in tasks]
        self._holdings.add(queue, items)
        if self._stop.is_set() or not self._taking:
            self._outcomes([(held, frames.Outcome(0, Verb.REQUEUE)) for held in items])
            return
        if any(taken.crashes for taken in tasks):
            poison = [held for held in items if held.taken.crashes >= MOST_CRASHES]
            self._outcomes([(held, archive_poison(held, self._clock.now())) for held in poison])
            items = [held for held in items if held.taken.crashes < MOST_CRASHES]
        self._supervisor.give(items)

    def _outcomes(self, items: list[tuple[Held, frames.Outcome]]) -> None:
        assert self._acker is not None
        self._acker.add(items)

    def _room(self) -> None:
        if self._shares is not None and not self._stop.is_set():
            self._shares.pump()

    # --- loops ----------------------------------------------------------------------------------------------

    async def _watch_limits(self) -> None:
        while True:
            await asyncio.sleep(LIMITS_PERIOD)
            try:
                self._supervisor.watch_limits()
            except Exception:
                logger.exception("The watch on time limits failed once; it goes on")

    async def _watch_burst(self, broker: AsyncBroker) -> None:
        """Stop when nothing is held and every queue is empty, after what was due has been forwarded."""
        await asyncio.sleep(2 * BURST_PERIOD)
        while True:
            await asyncio.sleep(BURST_PERIOD)
            if len(self._holdings) or self._partitions is None or not self._partitions.looks:
                continue
            queues = list(self._loops)
            for queue in queues:
                with contextlib.suppress(BrokerError):
                    await Forwarder(queue, broker, self._clock, Crowd()).forward()
            replies = await broker.run_many([backlog(queue) for queue in queues])
            if all(reply == 0 for reply in replies) and not len(self._holdings):
                self._stop.set()
                return

    async def _shut_down(self, watches: list[asyncio.Task[None]]) -> None:
        started = time.monotonic()
        assert self._heartbeat is not None
        assert self._acker is not None
        assert self._health is not None
        self._heartbeat.status = "closed"
        await self._health.stop()
        await asyncio.gather(*(fetcher.stop() for fetcher in self._fetchers))
        await self._supervisor.drain(lambda: self._grace)
        if not await self._acker.drain(FLUSH_SECONDS):
            logger.error(
                "%d tasks could not be handed back; their leases end within 30 s", len(self._holdings)
            )
            self._acker.stop()
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        await asyncio.gather(*(service.stop() for service in self._services))
        await self._heartbeat.clear()
        logger.info("Stopped after %.1f s", time.monotonic() - started)


def queues_of(hello: frames.Hello) -> dict[str, int]:
    """Every queue that the app declares or its tasks name, with weight 1; the default queue when there is none."""
    named = {task.queue for task in hello.tasks} | set(hello.partitions)
    return dict.fromkeys(sorted(named) or [DEFAULT_QUEUE], 1)
