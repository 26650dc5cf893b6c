"""A worker's process imports of redis-py what it uses; what else is asked for is there all the same."""

from __future__ import annotations

import subprocess
import sys

LEAN = "from taskflow.connection.lean import keep_redis_lean; keep_redis_lean()\n"


def said_by(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", LEAN + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_worker_imports_connections_and_neither_commands_nor_open_telemetry() -> None:
    """They were half of the time until it could take its first task."""
    loaded = set(said_by("import sys, taskflow.worker.main\nprint(*sys.modules)"))
    assert "redis.asyncio.connection" in loaded
    assert not loaded & {"redis.commands", "redis.client", "redis.cluster", "redis.asyncio.client"}
    assert not [name for name in loaded if name.startswith("opentelemetry")]


def test_what_else_is_asked_for_is_there() -> None:
    code = """
import redis, redis.asyncio
from redis import exceptions
from redis.asyncio import sentinel, Redis as Other
namespace = {}
exec("from redis import *", namespace)
print(redis.Redis.__name__, redis.__version__ == __import__("importlib.metadata").metadata.version("redis"))
print(Other is redis.asyncio.Redis, namespace["RedisCluster"] is redis.cluster.RedisCluster)
print(redis.connection.Connection is redis.Connection, hasattr(redis, "nothing"), hasattr(redis, "__nothing__"))
import opentelemetry.sdk
"""
    assert said_by(code) == ["Redis", "True", "True", "True", "True", "False", "False"]


def test_threads_that_ask_at_the_same_time_get_the_same() -> None:
    code = """
import threading, redis
start, found = threading.Barrier(8), []
def look():
    start.wait(10)
    found.append(redis.RedisCluster)
threads = [threading.Thread(target=look) for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join()
print(len(found), len(set(map(id, found))))
"""
    assert said_by(code) == ["8", "1"]


def test_what_is_imported_already_is_left_alone() -> None:
    code = (
        "import redis; before = redis.Redis\n" + LEAN + "print(redis.Redis is before, type(redis).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "module"], done.stderr
