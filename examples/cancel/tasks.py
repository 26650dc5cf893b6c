"""Two tasks that take their time: one that cleans up when it is cancelled, and one that says how far it was."""

import time

from taskflow import Cancel, TaskFlow, current_task
from taskflow.errors import TaskCancelled

app = TaskFlow("cancel", retention=600)


@app.task(queue="reports")
def report(customer: int, steps: int = 600) -> int:
    """Cleans up, whatever ends it: TaskCancelled is raised in here."""
    done = 0
    try:
        while done < steps:
            time.sleep(0.05)
            done += 1
    finally:
        print(f"report {customer}: {done} steps", flush=True)
    return done


@app.task(queue="reports")
def export(customer: int, rows: int = 600) -> int:
    """Says how far it was."""
    row = 0
    try:
        while row < rows:
            current_task().progress(row, rows)
            time.sleep(0.05)
            row += 1
    except TaskCancelled:
        raise Cancel(f"after row {row}") from None
    return row
