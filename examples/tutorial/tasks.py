"""The tutorial's three tasks.

The worker: taskflow worker -A tasks -Q notifications=1,webhooks=1,images=1 -c 20
"""

import os

from taskflow import TaskFlow, current_task

BROKER = "redis+cluster://127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002"

app = TaskFlow(
    "tutorial",
    broker=os.environ.get("TASKFLOW_BROKER") or BROKER,
    retention=600,  # seconds that a result is kept
    enqueue_timeout=15,  # seconds that .delay() may take: longer than a replica needs to take over
)


@app.task(queue="notifications", name="notifications:email")
def email(to: int, from_: int) -> str:
    """`from` is a word of Python's: the parameter is `from_`, the field is {"to": ..., "from": ...}."""
    return report(f"sent an email to {to} from {from_}")


@app.task(queue="webhooks", name="webhooks:sync")
async def sync(data: int) -> str:
    """A coroutine: it runs on an event loop beside the others, in the same worker."""
    return report(f"synced the webhook data {data}")


@app.task(queue="images", name="images:resize", max_retries=5, timeout=30)
def resize(src: str) -> str:
    return report(f"resized the image {src}")


def report(text: str) -> str:
    task = current_task()
    print(f"{task.name}: {text} (id={task.id})", flush=True)
    return text
