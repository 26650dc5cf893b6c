"""How many rows a second Django's outbox takes and its relay delivers: a real PostgreSQL, a real server.

    python -m benchmarks.outbox [--rows 20000] [--cluster]

Says how many calls a second become rows, in a transaction each and in bulk, how many rows a second one relay delivers and two
together, and how long after its commit a call is in its queue, where the relay is told of commits and where it looks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction

from taskflow import embedded
from tests.postgres import running
from tests.servers import start_server

QUEUE = "outbox-benchmark"


@dataclass(frozen=True)
class Measured:
    """Figures of one run: rows a second, and milliseconds."""

    single: float
    bulk: float
    one_relay: float
    two_relays: float
    told_ms: float
    looked_ms: float

    def lines(self) -> list[str]:
        return [
            f"`.delay()` in a transaction of its own | {self.single:,.0f}",
            f"`map` of all | {self.bulk:,.0f}",
            f"one relay | {self.one_relay:,.0f}",
            f"two relays | {self.two_relays:,.0f}",
            f"from commit to queue, told: median {self.told_ms:.0f} ms",
            f"from commit to queue, looked: median {self.looked_ms:.0f} ms",
        ]


def set_up(database: dict[str, Any], broker: str) -> None:
    """Set Django up, with an empty outbox."""
    settings.configure(
        SECRET_KEY="of-a-benchmark",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "taskflow.contrib.django"],
        DATABASES={"default": database},
        TASKFLOW={"BROKER": broker, "OUTBOX": True, "QUEUE": QUEUE},
    )
    django.setup()
    call_command("migrate", verbosity=0)


def measure(rows: int, latencies: int = 50) -> Measured:
    """Measure all of it with so many rows."""
    # Only here: there are no models before Django is set up.
    from taskflow.contrib.django import get_app
    from taskflow.contrib.django.outbox.relay import Relay
    from taskflow.contrib.django.outbox.setting import outbox_settings

    app = get_app()

    @app.task(name="benchmark:note")
    def note(number: int) -> None: ...

    def relay(**changed: Any) -> Relay:
        return Relay(app, "default", replace(outbox_settings(), **changed))

    def fill() -> None:
        note.map([(number,) for number in range(rows)]).raise_for_errors()

    def single() -> None:
        for number in range(rows // 10):
            with transaction.atomic():
                note.delay(number)

    def drained() -> None:
        one = relay()
        try:
            one.drain()
        finally:
            connections.close_all()

    def together(count: int) -> float:
        threads = [threading.Thread(target=drained) for _ in range(count)]
        return rows / seconds(
            lambda: [each.start() for each in threads] and [each.join() for each in threads]
        )

    singles = rows // 10 / seconds(single)
    relay().drain()
    bulk = rows / seconds(fill)
    one = together(1)
    fill()
    two = together(2)
    waiting = app.inspector.queue(QUEUE).pending
    expected = rows // 10 + 2 * rows
    assert waiting == expected, f"{waiting} tasks are in the queue, and {expected} were called"
    told, looked = (_latency(app, note, relay(notify=notify), latencies) for notify in (True, False))
    app.close()
    connections.close_all()
    return Measured(singles, bulk, one, two, told, looked)


def seconds(do: Callable[[], object]) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began


def _latency(app: Any, note: Any, relay: Any, count: int) -> float:
    """Milliseconds from the commit until the task is in its queue: the median."""
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(stop,))
    thread.start()
    found: list[float] = []
    try:
        for number in range(count):
            handle = note.delay(number)
            began = time.monotonic()
            while handle.state is None:
                if time.monotonic() - began > 30:
                    raise TimeoutError("a call is not delivered")
                time.sleep(0.001)
            found.append(time.monotonic() - began)
            time.sleep(0.037)  # not in step with whoever looks
    finally:
        stop.set()
        thread.join()
    return statistics.median(found[2:] or found) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument(
        "--cluster", action="store_true", help="a local cluster of six nodes instead of one server"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outbox-benchmark-") as folder, running() as postgres:
        config = embedded.parse_url(f"embedded://{folder}/cluster?nodes=6&password=no")
        server = None if given.cluster else start_server(Path(folder))
        try:
            set_up(postgres.create().of_django(), embedded.ensure(config) if server is None else server.url)
            print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {given.rows:,} rows")
            print("\n".join(measure(given.rows, 50 if given.rows >= 5000 else 5).lines()))
            print(f"load {os.getloadavg()[0]:.1f} at the end")
        finally:
            if server is None:
                embedded.stop(config)
            else:
                server.stop()


if __name__ == "__main__":
    main()
