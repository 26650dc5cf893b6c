"""BullMQ, on Node.js."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..contender import QUEUE, Place, Program
from ..processes import PROGRAMS
from ..venvs import node_with

VERSION = "6.7.0"
IOREDIS = "5.11.1"


class BullMQ(Program):
    """See `programs/bullmq_app.mjs`."""

    name = "bullmq"
    label = "BullMQ (Node)"
    python = False
    program = "bullmq_app"
    settings = ("20 at once", "100 at once")
    waiting = ("LLEN", f"bull:{QUEUE}:wait")
    held = (("LLEN", f"bull:{QUEUE}:active"),)
    note = "`addBulk`, finished jobs removed"

    def prepare(self) -> None:
        """See `Contender.prepare`."""
        self.interpreter, modules = node_with(self.name, [f"bullmq@{VERSION}", f"ioredis@{IOREDIS}"])
        self._modules: Path = modules
        self.version = json.loads((modules / "bullmq" / "package.json").read_text())["version"]

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        return [*self.client_command(), "worker"]

    def client_command(self) -> list[str]:
        """See `Program.client_command`."""
        return [self.interpreter, str(PROGRAMS / "bullmq_app.mjs")]

    def environment(self, place: Place) -> dict[str, str]:
        """See `Program.environment`."""
        return super().environment(place) | {"BENCH_MODULES": str(self._modules)}
