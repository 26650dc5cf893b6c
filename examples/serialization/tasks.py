"""What compression, msgpack and a store do to a message.

    python examples/serialization/tasks.py        # enqueues, and shows what the broker has
    taskflow worker -A tasks --burst              # in this folder: runs them

Without a broker's URL in TASKFLOW_BROKER it is the embedded server.
"""

import os
import tempfile
from pathlib import Path

from taskflow import TaskFlow
from taskflow.stores import FolderStore

FOLDER = Path(os.environ.get("EXAMPLE_STORE", Path(tempfile.gettempdir(), "taskflow-example-store")))

app = TaskFlow("serialization", queue="reports", retention=600, store=FolderStore(FOLDER), store_over=10_000)


@app.task
def total(rows: list[dict[str, int]]) -> int:
    return sum(row["price"] for row in rows)


@app.task(serializer="msgpack")
def checksum(data: bytes) -> bytes:
    return bytes([sum(data) % 256])


def main() -> None:
    rows = [{"price": number, "amount": 1} for number in range(300)]
    calls = {
        "JSON, in the store": total.delay(rows * 3),
        "JSON": total.delay(rows[:100]),
        "JSON, zlib": total.options(compression="zlib").delay(rows * 3),
        "msgpack": checksum.delay(bytes(range(256))),
    }
    for how, handle in calls.items():
        message = app.inspector.task(handle.queue, handle.id).message
        assert message is not None
        kind = message.headers.get("taskflow-content-type", "application/json")
        print(f"{how:20} {len(message.payload or b''):6,} bytes in the broker, {kind}")
    for how, handle in calls.items():
        print(f"{how:20} -> {handle.get(timeout=60)!r}")


if __name__ == "__main__":
    main()
