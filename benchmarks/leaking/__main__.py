"""Runs leaking tasks in a worker that replaces its children, and says how large they became: `python -m benchmarks.leaking`."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from pathlib import Path

import click

from ..processes import worker
from ..server import running
from .app import app, leak


@click.command()
@click.option("--tasks", default=400, show_default=True)
@click.option("--megabytes", default=10, show_default=True, help="That each task keeps.")
@click.option("--seconds", default=0.01, show_default=True, help="That each task takes.")
@click.option("--mark", default="300M", show_default=True, help="--max-memory-per-child; 0: none.")
@click.option("--pool", default="processes", show_default=True)
@click.option("--concurrency", default=1, show_default=True)
def main(tasks: int, megabytes: int, seconds: float, mark: str, pool: str, concurrency: int) -> None:
    """Say how many children there were, the largest, and how long all took."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        app.use_broker(server.url)
        results = [leak.delay(megabytes, seconds) for _ in range(tasks)]
        options = [
            "-A",
            "benchmarks.leaking.app",
            "-b",
            server.url,
            "-P",
            pool,
            "-c",
            str(concurrency),
            "-l",
            "warning",
        ]
        options += [] if mark == "0" else ["--max-memory-per-child", mark]
        began = time.monotonic()
        with worker(*options):
            said = [result.get(600) for result in results]
            took = time.monotonic() - began
        app.close()
    largest: dict[int, int] = defaultdict(int)
    for pid, size in said:
        largest[pid] = max(largest[pid], size)
    sizes = sorted(largest.values())
    click.echo(
        f"{len(said)} tasks in {took:.1f} s, {len(sizes)} children, the largest {sizes[-1]} MiB, "
        f"the middle one {sizes[len(sizes) // 2]} MiB"
    )


if __name__ == "__main__":
    main()
