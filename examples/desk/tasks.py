"""A task to call, to change and to step through."""

from datetime import date, timedelta

from taskflow import TaskFlow

app = TaskFlow("desk", retention=600)


@app.task(queue="parcels", name="parcels:arrival")
def arrival(sent: date, days: int = 3, *, express: bool = False) -> date:
    return sent + timedelta(days=1 if express else days)
