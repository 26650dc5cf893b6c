"""RQ."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import QUEUE, Place
from ..venvs import PythonPeer


class RQ(PythonPeer):
    """`SimpleWorker`: its default worker forks for every task and is slower still."""

    name = "rq"
    label = "RQ"
    program = "rq_app"
    requirements = ("rq==3.0.0", "hiredis==3.5.0")
    waiting = ("LLEN", f"rq:queue:{QUEUE}")
    held = (("ZCARD", f"rq:wip:{QUEUE}"), ("LLEN", f"rq:queue:{QUEUE}:intermediate"))
    note = "`SimpleWorker`, which does not fork for each task; it runs one task at a time; `enqueue_many`"

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        words = [self.script("rq"), "worker", "--url", place.server.url, "--quiet"]
        return [*words, "--disable-job-desc-logging", "--worker-class", "rq.SimpleWorker", QUEUE]
