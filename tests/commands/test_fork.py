"""A process that has enqueued forks, as web servers do that load an app before their workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import redis

from tests.servers import Server

ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, sys
from taskflow import TaskFlow

app = TaskFlow("forks", broker=sys.argv[1])

@app.task(name="noop", queue=sys.argv[2])
def noop(who: int, number: int) -> None: ...

noop.delay(-1, 0)
children = []
for who in range(4):
    child = os.fork()
    if child == 0:
        for number in range(30):
            handle = noop.options(id=f"{who}-{number}").delay(who, number)
            assert handle.id == f"{who}-{number}" and app.result(handle.id, queue=sys.argv[2]).state == "pending"
        os._exit(0)
    children.append(child)
for number in range(30):
    noop.options(id=f"parent-{number}").delay(-1, number)
sys.exit(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_parent_and_children_share_no_connection(valkey: Server, queue: str, raw: redis.Redis) -> None:
    """On a socket that two processes share each reads the other's replies."""
    subprocess.run(
        [sys.executable, "-c", PROGRAM, valkey.url, queue],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert raw.llen(f"asynq:{{{queue}}}:pending") == 151
