"""Event loops that come and go: what a closed one leaves behind is closed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading

import pytest

from tests.commands.together import tasks_of, waiting
from tests.servers import Server
from tests.workers import ROOT

USES = {
    "adelay": "await noop.adelay(number)",
    "amap": "(await noop.amap([(number,)])).raise_for_errors()",
    "batch": "async with app.batch():\n                noop.delay(number)",
    "aget": """
            with contextlib.suppress(errors.ResultTimeout):
                await noop.options(retention=60).delay(number).aget(timeout=0.01)""",
    "ainfo": "await noop.delay(number).ainfo()",
}
ROUNDS = 100


@pytest.mark.parametrize("use", USES)
def test_a_hundred_event_loops_need_few_descriptors(valkey: Server, queue: str, use: str) -> None:
    """`asyncio.run(task.adelay())` in each request of a Flask or Django view: each run has a loop of its own, and each left its
    connection open. After some hundred requests the process ended with "Too many open files".
    """
    program = f"""
        import asyncio, contextlib, resource
        from taskflow import errors
        from tests.commands.together import tasks_of

        app, noop = tasks_of({valkey.url!r}, {queue!r})

        async def request(number):
            {USES[use]}

        asyncio.run(request(0))  # imports what it needs
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
        for number in range({ROUNDS}):
            asyncio.run(request(number))
        app.close()
        print("done")
    """

    done = subprocess.run(
        # The last connection too is closed, without a word about what nobody has closed.
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert (done.stdout.strip(), done.stderr) == ("done", "")


def test_loops_of_two_threads_go_on_side_by_side(valkey: Server, queue: str) -> None:
    """One thread's loop that is closed takes nothing from another's that runs."""
    app, noop = tasks_of(valkey.url, queue)
    go_on = threading.Event()
    failed: list[BaseException] = []

    async def long() -> None:
        connections: set[int] = set()
        for number in range(50):
            await noop.adelay(number)
            connections |= {
                id(one) for pool in app.client.async_broker.driver._pools.values() for one in pool
            }
            go_on.set()
        assert len(connections) == 1
        await app.aclose()

    def run() -> None:
        try:
            asyncio.run(long())
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert go_on.wait(20)
    for number in range(50, 70):
        asyncio.run(noop.adelay(number))
    thread.join(20)
    app.close()

    assert not failed
    assert sorted(waiting(noop)) == list(range(70))
    app.close()
