"""`python -m tests.properties.mutants`: does the model see it when a script forgets one of its writes?

Each line of a script that only writes is left out, one at a time; the machines have to notice. Prints what they do not.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from taskflow.broker import scripts
from taskflow.broker.scripts import Script
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from tests.properties.machine import Groups, MixedQueue, Queue, Workers
from tests.properties.place import Place, fresh_name
from tests.servers import start_server

SCRIPTS = (
    "enqueue", "dequeue", "extend", "finish", "forward", "recover", "expire", "reclaim", "ripe", "join", "refuse",
    "run_tasks", "archive_tasks", "delete_tasks", "run_all", "archive_all", "delete_all", "pause",
    "deliver", "confirm", "overdue",
)  # fmt: skip
_WRITE = re.compile(
    r"(?:redis\.)?call\('(?:[LRS]PUSH|[LRS]POP|LREM|Z?H?SET|HSETNX|HDEL|HINCRBY|DEL|UNLINK|ZADD|ZREM|SADD|SREM|EXPIREAT|LTRIM)'"
)
TRY = settings(
    max_examples=250,
    stateful_step_count=50,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def mutants(name: str) -> Iterator[tuple[int, str, Script]]:
    """The script without one of its writing lines; the line's number and text."""
    script = scripts.load(name)
    lines = script.source.splitlines()
    for number, line in enumerate(lines):
        left = _without_write(line)
        if left is not None:
            source = "\n".join([*lines[:number], left, *lines[number + 1 :]]) + "\n"
            yield (
                number,
                line.strip(),
                replace(script, source=source, sha=hashlib.sha1(source.encode()).hexdigest()),
            )


def _without_write(line: str) -> str | None:
    """The line with its one writing statement left out; None when it is not such a line."""
    statement = line.strip()
    if not _WRITE.search(line):
        return None
    if statement.startswith(("redis.call(", "call(")):
        return ""
    if match := re.match(r"^(\s*if .* then )(?:redis\.)?call\(.*\)( end)$", line):
        return match[1] + match[2]
    return None


@contextmanager
def instead(name: str, mutant: Script) -> Iterator[None]:
    """Builders send the mutant: the loader's cache hands the very same object to all of them."""
    script = scripts.load(name)
    sound = (script.source, script.sha)
    _set(script, mutant.source, mutant.sha)
    try:
        yield
    finally:
        _set(script, *sound)


@contextmanager
def changed(name: str, pattern: str, text: str) -> Iterator[None]:
    """A script with one of its rules taken out: what the pattern finds in it, once, is this text."""
    script = scripts.load(name)
    source, count = re.subn(pattern, lambda _: text, script.source)
    assert count == 1, f"{name}.lua has no {pattern!r} any more: the test needs care"
    with instead(name, replace(script, source=source, sha=hashlib.sha1(source.encode()).hexdigest())):
        yield


def _set(script: Script, source: str, sha: str) -> None:
    object.__setattr__(script, "source", source)
    object.__setattr__(script, "sha", sha)


MACHINES: tuple[type[Queue], ...] = (Queue, Workers, MixedQueue, Groups)


def is_noticed(place: Place, machines: Sequence[type[Queue]] = MACHINES) -> bool:
    """Whether one of the machines fails."""
    for machine in machines:
        try:
            run_state_machine_as_test(lambda machine=machine: machine(place), settings=TRY)  # type: ignore[misc]
        except BaseException as error:
            place.clear()
            if isinstance(error, KeyboardInterrupt):
                raise
            return True
    return False


def main() -> int:
    seen, missed = 0, 0
    with tempfile.TemporaryDirectory() as directory:
        server = start_server(Path(directory))
        broker = Broker(SyncDriver(server.url))
        try:
            with redis.Redis(port=server.port) as client:
                for name in sys.argv[1:] or SCRIPTS:
                    for number, text, mutant in list(mutants(name)):
                        with instead(name, mutant):
                            noticed = is_noticed(Place(broker, client, fresh_name()))
                        seen += noticed
                        missed += not noticed
                        if not noticed:
                            print(f"MISSED {name}.lua without line {number}: {text}", flush=True)
        finally:
            broker.close()
            server.stop()
    print(f"{seen} of {seen + missed} mutants were noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
