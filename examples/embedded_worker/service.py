"""A small service whose worker is a part of it: one process, one event loop. `python service.py` in this folder."""

import asyncio

from taskflow import TaskFlow

app = TaskFlow("letters", retention=600)


@app.task
async def fetch(name: str) -> str:
    """A coroutine: it runs on the service's own loop."""
    await asyncio.sleep(0.1)
    return f"letter for {name}"


@app.task
def count(text: str) -> int:
    """A function: it runs in a thread."""
    return len(text)


async def main() -> None:
    async with app.worker(concurrency=5) as worker:
        letters = [await fetch.adelay(name) for name in ("Ada", "Grace", "Edsger")]
        texts = [await letter.aget(timeout=20) for letter in letters]
        lengths = [await (await count.adelay(text)).aget(timeout=20) for text in texts]
        print(dict(zip(texts, lengths, strict=True)), "healthy" if worker.is_healthy else worker.complaints)
    await app.aclose()


if __name__ == "__main__":
    asyncio.run(main())
