"""`taskflow worker --check`: reads what the workers of this user on this host wrote about themselves.

Imports little: a probe that runs every few seconds should cost little.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...connection.url import BrokerURL, parse
from ...errors import InvalidBrokerURL, NotPrivate
from ...private_files import PrivateDirectory

STALE_SECONDS = 20.0
"""Seconds. A worker writes every second; a file that is older than this means that its event loop is stuck."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A worker that runs on this host.

    Args:
        pid: its process id.
        well: whether all is well with it.
        text: what is not.
        app: what its `-A` was.
        broker: its broker, without a password.
        queues: which it serves.
        folder: where it was started.
    """

    pid: int
    well: bool
    text: str
    app: str
    broker: str
    queues: tuple[str, ...]
    folder: str


def check(app: str | None, broker: str | None) -> list[Judged]:
    """The workers of an app and a broker that this user runs on this host, wherever they were started.

    Args:
        app: `module`, `module:attribute` or the app's own name; None: of any.
        broker: a broker URL; None: of any.

    Raises:
        InvalidBrokerURL: `broker` cannot be understood.
        NotPrivate: the folder where workers write is not this user's alone.
    """
    wanted = None if broker is None else parse(broker)
    return [
        _judge(record)
        for record in _records()
        if (app is None or _is_of_app(record, app)) and (wanted is None or _is_of_broker(record, wanted))
    ]


def directories() -> list[Path]:
    """Where the files may be: a service may have no runtime directory, and whoever asks may have one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    shared = Path(tempfile.gettempdir()) / f"taskflow-{os.geteuid()}"
    return [Path(runtime) / "taskflow", shared] if runtime else [shared]


def file_name(pid: int, token: str) -> str:
    """The name of one worker's file."""
    return f"worker-{pid}-{token}.json"


def birth(pid: int) -> str:
    """What tells a process from another one that later has the same id; empty where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _records() -> Iterator[dict[str, Any]]:
    here = socket.gethostname()
    for path in directories():
        if not os.path.lexists(path):
            continue
        with PrivateDirectory(path) as folder:
            for name in folder.names():
                if not (name.startswith("worker-") and name.endswith(".json")):
                    continue
                try:
                    record = json.loads(folder.read(name))
                    pid, host = int(record["pid"]), record["host"]
                except (OSError, NotPrivate, ValueError, KeyError, TypeError):
                    continue
                if host != here:  # a worker of another container, with which this one shares the folder
                    continue
                if _lives(pid, record.get("birth", "")):
                    yield record
                else:
                    folder.remove(name)


def _judge(record: dict[str, Any]) -> Judged:
    age = time.time() - float(record.get("at", 0))
    if age > STALE_SECONDS:
        well, text = False, f"its event loop has stood still for {age:.0f} s"
    else:
        well = bool(record.get("ok"))
        text = "; ".join(map(str, record.get("why", ()))) or "all loops get on"
    brokers = record.get("brokers") or ["?"]
    return Judged(
        int(record["pid"]),
        well,
        text,
        str(record.get("app", "")),
        str(brokers[0]),
        tuple(map(str, record.get("queues", ()))),
        str(record.get("folder", "")),
    )


def _is_of_app(record: dict[str, Any], asked: str) -> bool:
    """However `-A` is spelt: an attribute that only one of the two names may be the one that the other finds by itself."""
    if asked == record.get("name"):
        return True
    module, _, attribute = asked.partition(":")
    its_module, _, its_attribute = str(record.get("app", "")).partition(":")
    return module == its_module and (not attribute or not its_attribute or attribute == its_attribute)


def _is_of_broker(record: dict[str, Any], wanted: BrokerURL) -> bool:
    for url in record.get("brokers", ()):
        try:
            if _is_same(parse(str(url)), wanted):
                return True
        except InvalidBrokerURL:
            continue
    return False


def _is_same(one: BrokerURL, other: BrokerURL) -> bool:
    """Whether both lead to the same server; of a cluster or of Sentinels each may name other nodes."""
    if one.kind == "embedded" or other.kind == "embedded":
        return one.kind == other.kind and one.source == other.source
    facts = [(url.kind, url.path, url.service, url.db, url.tls) for url in (one, other)]
    return facts[0] == facts[1] and (one.kind == "unix" or bool(_nodes(one) & _nodes(other)))


def _nodes(url: BrokerURL) -> set[tuple[str, int]]:
    return {("127.0.0.1" if host == "localhost" else host, port) for host, port in url.hosts}


def _lives(pid: int, born: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not born or born == birth(pid)
