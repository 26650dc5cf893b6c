"""What the loops of a worker share: one connection, one clock, what is held, the children, who may take how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..broker.aio import AsyncBroker
from ..broker.commands.dequeue import BATCH
from ..clock import ServerClock
from ..message.outcome import Outcome
from ..pipe import frames
from .children.supervisor import Supervisor
from .config import Identity, WorkerConfig
from .descriptors import places as waiting_connections
from .holding.acker import Acker
from .holding.held_tasks import Held, HeldTasks
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
        delivery: brings followers of tasks to their queues.
        courier: has those of the verdicts that were just written.
        allocator: who may take how many.
        intake: is given what was taken.
        places: who may wait on a connection.
        roll_call: asks for those who may not.
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
    delivery: Delivery
    courier: Courier
    allocator: SlotAllocator
    intake: Intake
    places: Places
    roll_call: RollCall
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
        return cls(
            config=config,
            identity=identity,
            clock=clock,
            held_tasks=held_tasks,
            supervisor=supervisor,
            broker=broker,
            many=many,
            acker=acker,
            delivery=delivery,
            courier=courier,
            allocator=SlotAllocator(queues, strict=config.strict, room=supervisor.room, most=BATCH),
            intake=Intake(held_tasks, supervisor, on_outcomes, clock, is_open),
            places=Places(waiting_connections(waits, nodes, config.children)),
            roll_call=RollCall(broker),
            subscriber=Subscriber(broker, lambda task_id: supervisor.broadcast(frames.Cancel(task_id))),
        )
