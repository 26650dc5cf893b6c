"""Celery."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import QUEUE, Place
from ..venvs import PythonPeer


class Celery(PythonPeer):
    """The best of its pools, prefetch by default, results ignored, no gossip, mingle, heartbeat or events."""

    name = "celery"
    label = "Celery"
    program = "celery_app"
    requirements = ("celery[redis]==5.7.0", "hiredis==3.5.0")
    settings = ("threads 20", "prefork 20", "prefork 2")
    waiting = ("LLEN", QUEUE)
    held = (("HLEN", "unacked"),)
    note = (
        "results ignored, events, gossip, mingle and heartbeat off, prefetch by default; "
        "its bulk is one producer for all (a `group` is slower)"
    )

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        pool, _, size = place.setting.partition(" ")
        size = size if size == "2" else str(place.concurrency)
        words = [self.script("celery"), "-A", "celery_app", "worker", "-P", pool, "-c", size, "-Q", QUEUE]
        return [*words, "--loglevel=warning", "--without-gossip", "--without-mingle", "--without-heartbeat"]
