"""The tasks, and the app that they belong to. They know nothing of FastAPI."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from taskflow import INJECTED, Depends, TaskFlow, current_task

app = TaskFlow("shop", retention=3600)


class Prices:
    """Stands for a database, or another service."""

    async def add(self, row: int) -> None:
        await asyncio.sleep(0.02)


async def get_prices() -> AsyncIterator[Prices]:
    """Made for each task, and closed after it."""
    yield Prices()


@app.task(queue="imports", max_retries=3)
async def import_rows(rows: int, prices: Annotated[Prices, Depends(get_prices)] = INJECTED) -> int:
    task = current_task()
    for row in range(1, rows + 1):
        await prices.add(row)
        task.progress(row, rows)
    task.log(f"{rows} rows are imported")
    return rows
