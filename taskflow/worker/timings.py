"""How long the parts of a worker wait: one value, so that a test runs a recovery in a second and not in thirty.

Imports nothing of ours: the settings of a worker are read before its children are started, and those start before all else.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidOption

_NOT_SHORTER = (
    ("longest_pause", "first_pause"),
    ("longest_restart", "first_restart"),
    ("stuck", "complain"),
    ("trial", "lease_extension"),
)
"""Which time may not be shorter than which."""


@dataclass(frozen=True, slots=True)
class Timings:
    """The times of a worker, all in seconds.

    What users set (`grace`) is in `WorkerConfig`. These fit each other, and those of the other workers of a queue, so there is
    no option for them.

    Args:
        lease: how long a task is leased to a worker without a sign of life from it; whole seconds, as in Asynq.
        lease_extension: between two extensions of the leases that are held.
        heartbeat: between two writings of the worker's record, which lives twice as long.
        forward: between two looks at what is due; what comes due before the next one is told.
        recover: between two looks at leases that have ended.
        expire: between two looks at completed tasks whose retention is over.
        sweep: between two looks at what is broken.
        second_look: after so long a task that looked broken is looked at again.
        trial: the lease that a task with an owner and without a lease gets: whole seconds, in which a living owner extends it.
        overdue: a follower of a task that has lain in the outbox for so long is delivered by any worker of the queue.
        outbox: between two looks for such followers.
        store: between two looks whether something in the app's store is to be looked at.
        aggregate: between two looks at groups that may be ripe.
        build: a child that has not built a message for so long is not waited for: another is asked.
        partitions: between two looks at which partitions there are.
        paused: between two questions whether a queue is still paused.
        roll_call: between two rounds of asking queues that have no connection to wait on.
        first_pause: after a round that failed, doubled with each that follows.
        longest_pause: the most of that.
        put_back: a job that has not started in its child so long after it was taken, or that child was there, is taken back.
        ask: between two questions to a child that has work and says nothing by itself.
        complain: so long may a part of a child stand still while work waits for it, before health says so.
        stuck: and so long before the child is replaced.
        slot: so long a task whose verdict is here may keep its slot.
        answer: so long a child has to say where its threads stand.
        lost: so long a child has to end whose socket has ended though nobody closed it.
        short_life: a child that has ended sooner has died at once.
        first_restart: before another start of a child after one that failed, doubled with each that follows.
        longest_restart: the most of that.
        scale_up: so long all slots are in use before it is asked whether tasks wait, and there are more.
        scale_down: so long fewer slots have to be enough before there are fewer.
        look: between two looks at the health of all loops.
        still: a loop that has not got on for so long is started anew.
    """

    lease: int = 30
    lease_extension: float = 5.0
    heartbeat: float = 5.0
    forward: float = 1.0
    recover: float = 5.0
    expire: float = 8.0
    sweep: float = 5.0
    second_look: float = 4.0
    trial: int = 8
    overdue: float = 5.0
    outbox: float = 5.0
    store: float = 15.0
    aggregate: float = 1.0
    build: float = 5.0
    partitions: float = 10.0
    paused: float = 1.0
    roll_call: float = 1.0
    first_pause: float = 0.5
    longest_pause: float = 5.0
    put_back: float = 0.175
    ask: float = 1.0
    complain: float = 2.0
    stuck: float = 5.0
    slot: float = 60.0
    answer: float = 2.0
    lost: float = 1.0
    short_life: float = 10.0
    first_restart: float = 0.5
    longest_restart: float = 30.0
    scale_up: float = 0.5
    scale_down: float = 30.0
    look: float = 1.0
    still: float = 20.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise InvalidOption(
                    f"the time {name} of a worker must be over 0 s, not {getattr(self, name)}"
                )
        if self.lease <= self.lease_extension:
            raise InvalidOption(
                f"a lease of {self.lease} s ends before it is extended after {self.lease_extension} s: others would run the "
                "tasks that a worker is running"
            )
        for longer, shorter in _NOT_SHORTER:
            if getattr(self, longer) < getattr(self, shorter):
                raise InvalidOption(
                    f"the time {longer} of a worker ({getattr(self, longer)} s) must not be shorter than {shorter} "
                    f"({getattr(self, shorter)} s)"
                )


TIMINGS = Timings()
"""Those of every worker outside tests."""
