"""What the loops of a worker share: one connection, one clock, what is held, the children, who may take how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..broker.aio import AsyncBroker
from ..broker.commands.dequeue import BATCH
from ..clock import ServerClock
from ..message.outcome import Outcome
from .children.supervisor import Supervisor
from .config import Identity, WorkerConfig
from .descriptors import places as waiting_connections
from .holding.acker import Acker
from .holding.cancels import Cancels
from .holding.held_tasks import Held, HeldTasks
from .holding.leases import Leases
from .holding.reports import ReportWriter
from .loops.courier import Courier
from .loops.delivery import Delivery
from .loops.narrow import NarrowBroker
from .loops.subscriber import Subscriber
from .taking.intake import Intake
from .taking.places import Places, RollCall
from .taking.slot_allocator import SlotAllocator


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one worker.

    Args:
        config: how it runs.
        identity: who it is.
        clock: the server's time.
        held_tasks: what it holds.
        supervisor: of its children.
        broker: for the loops of the whole worker.
        many: for those of the queues, which are many: so many of their calls are under way at once, and no more.
        acker: writes verdicts.
        reports: writes what running tasks say of themselves.
        delivery: brings followers of tasks to their queues.
        courier: has those of the verdicts that were just written.
        allocator: who may take how many.
        intake: is given what was taken.
        places: who may wait on a connection.
        roll_call: asks for those who may not.
        leases: keeps those of what is held.
        subscriber: hears what is published for workers.
    """

    config: WorkerConfig
    identity: Identity
    clock: ServerClock
    held_tasks: HeldTasks
    supervisor: Supervisor
    broker: AsyncBroker
    many: AsyncBroker
    acker: Acker
    reports: ReportWriter
    delivery: Delivery
    courier: Courier
    allocator: SlotAllocator
    intake: Intake
    places: Places
    roll_call: RollCall
    leases: Leases
    subscriber: Subscriber

    @classmethod
    def wire(
        cls,
        config: WorkerConfig,
        identity: Identity,
        clock: ServerClock,
        held_tasks: HeldTasks,
        supervisor: Supervisor,
        broker: AsyncBroker,
        *,
        queues: Mapping[str, int],
        waits: int,
        nodes: int,
        on_outcomes: Callable[[list[tuple[Held, Outcome]]], None],
        is_open: Callable[[], bool],
    ) -> Parts:
        """Make those that a connection is needed for.

        Args:
            config: how the worker runs.
            identity: who it is.
            clock: the server's time.
            held_tasks: what it holds.
            supervisor: of its children, which are started.
            broker: is reached.
            queues: weight by name.
            waits: how many queues and partitions would like to wait.
            nodes: how many masters there are.
            on_outcomes: takes the outcomes of what cannot be started.
            is_open: whether tasks are taken.
        """
        many = NarrowBroker(broker.driver)
        # Verdicts wait for no loop that only looks.
        acker = Acker(NarrowBroker(broker.driver), held_tasks, clock, identity.owner)
        delivery = Delivery(many)
        courier = Courier(delivery, clock)
        acker.on_followers = courier.add
        cancels = Cancels(held_tasks, supervisor.cancel)
        leases = Leases(broker, held_tasks, cancels.ask)
        return cls(
            config=config,
            identity=identity,
            clock=clock,
            held_tasks=held_tasks,
            supervisor=supervisor,
            broker=broker,
            many=many,
            acker=acker,
            reports=ReportWriter(many),
            delivery=delivery,
            courier=courier,
            allocator=SlotAllocator(
                queues,
                strict=config.strict,
                room=supervisor.room,
                most=BATCH,
                unwritten=acker.__len__,
                apart=supervisor.beside,
            ),
            intake=Intake(held_tasks, supervisor, on_outcomes, clock, is_open, cancels),
            places=Places(waiting_connections(waits, nodes, config.most_children)),
            roll_call=RollCall(broker),
            leases=leases,
            subscriber=Subscriber(broker, cancels, leases.tick),
        )
