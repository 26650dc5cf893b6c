"""Is this worker alive, in the sense that matters: do its loops get on?

Measured is progress, not existence: a process that runs and takes nothing is the failure that users of task queues report
most (failures.md, rows 1 and 50). A broker that is away makes no loop stand still: each tries again and counts as alive.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ..errors import PortInUse
from .service import Service

logger = logging.getLogger("taskflow.worker")

STILL_SECONDS = 20.0
"""A loop that has not got on for so long is wedged: more than any of its steps may take."""

LOOK_SECONDS = 1.0


class Health(Service):
    """Looks at the other loops, rebuilds one that stands still, and lets others know.

    Args:
        services: the loops.
        file: where the state is written for `taskflow worker --check`, or None.
    """

    name = "health"

    def __init__(self, services: Sequence[Service], file: Path | None) -> None:
        super().__init__()
        self._services = services
        self._file = file
        self._rebuilt: dict[Service, float] = {}
        self.rebuilds = 0

    async def tick(self) -> float:
        """One look at every loop."""
        now = time.monotonic()
        for service in self._services:
            still = service.still_for(now)
            if still > STILL_SECONDS and now - self._rebuilt.get(service, 0.0) > STILL_SECONDS:
                logger.error("%s has stood still for %.0f s; it is started anew", service.name, still)
                self._rebuilt[service] = now
                self.rebuilds += 1
                await service.rebuild(keep_age=True)
        self._write()
        return LOOK_SECONDS

    def state(self) -> dict[str, object]:
        """The loops that stand still, by name, and for how many seconds. Also tells when this very loop does not get on;
        may be asked from any thread.
        """
        now = time.monotonic()
        still = {
            service.name: round(seconds, 1)
            for service in (self, *self._services)
            if (seconds := service.still_for(now)) > STILL_SECONDS
        }
        return {"ok": not still, "still": still}

    def forget(self) -> None:
        """Remove the file at a clean stop."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        if self._file is None:
            return
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"at": time.time(), **self.state()}))
            fresh.replace(self._file)
        except OSError as error:
            logger.warning("%s cannot be written (%s); --check will not find this worker", self._file, error)
            self._file = None


class HealthServer:
    """`GET /healthz` on loopback: 200 while the loops get on, 503 when one stands still. Answers from a thread of its own,
    so that it also tells when the worker's event loop is stuck.

    Args:
        port: to listen on.
        state: as `Health.state`.
        host: the address to bind.
    """

    def __init__(self, port: int, state: Callable[[], dict[str, object]], host: str = "127.0.0.1") -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.path.split("?")[0] == "/healthz"
                value = state() if known else {"error": "not found; the only path is /healthz"}
                body = json.dumps(value).encode() + b"\n"
                self.send_response(404 if not known else 200 if value["ok"] else 503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """A probe every few seconds is no news."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise PortInUse(port, f" ({error.strerror})") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="taskflow-health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
