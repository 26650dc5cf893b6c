"""What a server has done between two looks at it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

from ..server import Server


@dataclass(frozen=True, slots=True)
class Cost:
    """Counters of a server, or how far they have gone on.

    Args:
        seconds: on the clock.
        commands: executed, also those inside scripts.
        reads: from sockets: so often a client had something to say.
        replicated: bytes for replicas.
        cpu: processor time of the server in seconds.
    """

    seconds: float
    commands: float
    reads: float
    replicated: float
    cpu: float

    @classmethod
    def of(cls, server: Server) -> Self:
        """The counters now."""
        info = server.client.info()
        return cls(
            time.monotonic(),
            info["total_commands_processed"],
            info["total_reads_processed"],
            info["master_repl_offset"],
            float(info["used_cpu_user"]) + float(info["used_cpu_sys"]),
        )

    def since(self, before: Cost) -> Cost:
        """From then to now."""
        return Cost(
            self.seconds - before.seconds,
            self.commands - before.commands,
            self.reads - before.reads,
            self.replicated - before.replicated,
            self.cpu - before.cpu,
        )

    def each(self, count: float) -> Cost:
        """Divided among so many."""
        return Cost(
            self.seconds / count,
            self.commands / count,
            self.reads / count,
            self.replicated / count,
            self.cpu / count,
        )

    def without(self, other: Cost, seconds: float) -> Cost:
        """Less what goes on all the time: `other` is a second of that."""
        return Cost(
            self.seconds,
            self.commands - other.commands * seconds,
            self.reads - other.reads * seconds,
            self.replicated - other.replicated * seconds,
            self.cpu - other.cpu * seconds,
        )
