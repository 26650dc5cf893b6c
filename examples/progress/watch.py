"""Enqueue, and follow it: in a thread, and from a coroutine."""

import asyncio

from tasks import app, import_rows

from taskflow import LogLines, Progress, Verdict

result = import_rows.delay(100, seconds=3)
print(f"taskflow task watch {result.id}", flush=True)
for event in result.watch(timeout=60):
    match event:
        case Progress(done, total, note):
            print(f"{done} of {total}, {note}", flush=True)
        case LogLines(lines):
            for line in lines:
                print(f"  {line.level or 'SAID'} {line.text}", flush=True)
        case Verdict(state):
            print(state, result.get())


async def follow(task_id: str) -> None:
    """Anybody who knows the id can, also when it has ended: then it is told what is kept."""
    async for event in app.result(task_id).watch():
        print(type(event).__name__)
    await app.aclose()


asyncio.run(follow(result.id))
