"""Go's Asynq v0.26.0, by the peer of the interoperability tests."""

from __future__ import annotations

from typing import Any

from tests.interop.golang import GoUnavailable, Peer, PeerError, build_peer

from ..contender import QUEUE, Contender, Place, Unavailable, Unsupported
from ..processes import Process, RunFailed

_GOROUTINES = {"single": 1, "threads": 20, "asyncio": 20, "preload": 20}


class Asynq(Contender):
    """The library whose storage format is taskflow's."""

    name = "asynq"
    label = "Go Asynq"
    python = False
    waiting = ("LLEN", f"asynq:{{{QUEUE}}}:pending")
    held = (("LLEN", f"asynq:{{{QUEUE}}}:active"),)
    lacks = {  # noqa: RUF012 - declared as a ClassVar by the base
        "bulk": "no API for many tasks at once",
        "latency-go": "",
        "result": "a result is polled by the user's own code",
        "footprint": "not measured for Go",
    }
    note = "`Concurrency: 20`, everything else by default; 20 goroutines share one client for many callers, asyncio too"

    def prepare(self) -> None:
        """See `Contender.prepare`."""
        try:
            self._binary = build_peer()
        except (GoUnavailable, PeerError) as error:
            raise Unavailable(str(error)) from None
        self.version = "0.26.0"

    def enqueue(self, place: Place, how: str, count: int, kind: str = "noop") -> float:
        """See `Contender.enqueue`."""
        self.check(how)
        if kind != "noop":
            raise Unsupported("its program here runs no-op tasks only")
        return float(
            self._bench(place, "enqueue", count=count, goroutines=_GOROUTINES[how], type="benchmark:noop")[
                "seconds"
            ]
        )

    def worker(self, place: Place, count: int = 0, processes: int = 1) -> list[Process]:
        """With tasks to drain a quiet server that ends after them, else one that waits."""
        common = [f"--redis={place.server.address}", f"--concurrency={place.concurrency}"]
        if count and processes > 1:
            raise Unsupported("the Go peer counts in one process only")
        if count:
            command = [str(self._binary), "bench-drain", *common, f"--queue={QUEUE}", f"--count={count}"]
        else:
            command = [str(self._binary), "work", *common, f"--queues={QUEUE}=1"]
        return [Process(command, {}, place.log)]

    def latency(self, place: Place, count: int, interval: float) -> dict[str, float]:
        """Its client and its server in one Go process: median and p99 in milliseconds."""
        answer = self._bench(place, "latency", count=count, interval_ms=int(interval * 1000), concurrency=20)
        return {"median": float(answer["median_ms"]), "p99": float(answer["p99_ms"])}

    def pings(self, place: Place, count: int, interval: float) -> None:
        """Not needed: `latency` does it all."""
        raise Unsupported("the Go peer measures its latency by itself")

    def round_trips(self, place: Place, count: int) -> list[float]:
        """See `Contender.round_trips`."""
        raise Unsupported(self.lacks["result"])

    def _bench(self, place: Place, name: str, **flags: Any) -> dict[str, Any]:
        peer = Peer(self._binary, place.server.address)
        try:
            return peer.bench(name, queue=QUEUE, **flags)
        except PeerError as error:
            raise RunFailed(str(error)) from None
