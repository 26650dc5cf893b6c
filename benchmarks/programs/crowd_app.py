"""Many whole workers in one process, where a machine is too small for many processes.

    python crowd_app.py COUNT

Each is a `Worker` as the command runs it: its own connections, fetcher, forwarder, heartbeat and all other loops, with one
slot. Only the child process is a thread here. What the server sees of it is what it would see of COUNT workers on as many
hosts.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading

import side
import taskflow_app

from taskflow.pipe.shared_marks import SharedMarks
from taskflow.runner.child import Child
from taskflow.telemetry.logs import setup
from taskflow.worker.children.process import ThreadProcess
from taskflow.worker.config import WorkerConfig
from taskflow.worker.worker import Worker

STARTS_PER_SECOND = 50
"""Workers of a real crowd have not started at one moment."""


def worker() -> Worker:
    config = WorkerConfig(
        app="taskflow_app:app", queues={side.QUEUE: 1}, concurrency=1, broker=side.URL, log_level="error"
    )

    async def start(connection: int, memory: int) -> ThreadProcess:
        child = Child(
            taskflow_app.app,
            socket.socket(fileno=connection),
            SharedMarks(os.dup(memory), config.slots),
            config.slots,
        )
        threading.Thread(target=child.run, daemon=True).start()
        return ThreadProcess()

    return Worker(config, start)


async def crowd(count: int) -> None:
    running = []
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for _ in range(count):
        one = worker()
        running.append((one, asyncio.create_task(one.run())))
        await asyncio.sleep(1 / STARTS_PER_SECOND)
    await stop.wait()
    for one, _ in running:
        one.stop()
    await asyncio.wait([task for _, task in running], timeout=5)


if __name__ == "__main__":
    setup("error", "text", errors=False)
    asyncio.run(crowd(int(sys.argv[1])))
    os._exit(0)
