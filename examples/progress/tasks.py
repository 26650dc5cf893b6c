"""A task that says how far it is while it runs."""

import logging
import time

from taskflow import TaskFlow, current_task

app = TaskFlow("progress")
logger = logging.getLogger("import")


@app.task(queue="imports", retention=600, log_lines="INFO")
def import_rows(rows: int, seconds: float = 10.0) -> int:
    task = current_task()
    refused = 0
    for number in range(1, rows + 1):
        time.sleep(seconds / rows)  # the work
        if number % 25 == 0:
            refused += 1
            logger.warning("row %d has no price", number)
        task.progress(number, rows, f"{refused} refused")
    task.log(f"{rows - refused} of {rows} rows are imported")
    return rows - refused
