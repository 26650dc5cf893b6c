"""What goes wrong, on purpose: one class for each kind of fault."""

from __future__ import annotations

from .base import Nemesis, World
from .masters import (
    ClientKill,
    Failover,
    FailoverForce,
    FailoverTakeover,
    MasterKill,
    MasterPause,
    MasterRestart,
    MemoryFull,
    ReplicaPause,
    ScriptFlush,
)
from .network import Cut, Delay, DropReplies, Hole, Refuse
from .processes import (
    ChildDeaths,
    ChildHeir,
    ChildKill,
    ChildLog,
    ChildLoop,
    ChildStop,
    ChildThreads,
    WorkerKill,
    WorkerPause,
    WorkerTerm,
)
from .slots import AtomicMigration, SlotMigration

ALL: dict[str, type[Nemesis]] = {
    kind.name: kind
    for kind in (
        WorkerKill,
        ChildKill,
        ChildHeir,
        ChildStop,
        ChildLoop,
        ChildThreads,
        ChildLog,
        ChildDeaths,
        WorkerPause,
        WorkerTerm,
        MasterKill,
        MasterPause,
        MasterRestart,
        ReplicaPause,
        Failover,
        FailoverForce,
        FailoverTakeover,
        ScriptFlush,
        ClientKill,
        MemoryFull,
        SlotMigration,
        AtomicMigration,
        Cut,
        Delay,
        DropReplies,
        Hole,
        Refuse,
    )
}

__all__ = ["ALL", "Nemesis", "World"]
