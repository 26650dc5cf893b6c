"""The tutorial's three tasks: what `taskflow demo` runs. Their broker is `TASKFLOW_BROKER`, as the demo sets it."""

from __future__ import annotations

from .. import TaskFlow

app = TaskFlow("demo", retention=600, enqueue_timeout=30)


@app.task(queue="notifications", name="notifications:email")
def email(to: int, from_: int) -> str:
    """Stands for sending an email."""
    return f"sent an email to {to} from {from_}"


@app.task(queue="webhooks", name="webhooks:sync")
def sync(data: int) -> str:
    """Stands for calling a web hook."""
    return f"synced {data}"


@app.task(queue="images", name="images:resize")
def resize(src: str) -> str:
    """Stands for resizing an image."""
    return f"resized {src}"
