"""Go's Asynq as a peer: builds the program in peer/ and drives it by argv and JSON lines.

peer = Peer(build_peer(), redis="127.0.0.1:6379")
peer.enqueue([{"type": "email", "payload": '{"to":1}', "queue": "mail"}])
with peer.work({"mail": 1}) as worker:
    worker.wait_for_end("an-id")
peer.inspect("info", queue="mail")["processed"]
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

Event = dict[str, Any]
"""One line of `peer work`: "event" is ready, start, end or stopped; for start and end also "type", "payload",
"id", "queue", "retried", "max_retry", "headers", "at" (Unix time) and, when a run has failed, "error"."""

SOURCES = Path(__file__).parent / "peer"
CACHE_DIR = Path(__file__).parents[2] / "build" / "asynq-peer"
"""Where the built program is kept, unless told otherwise; git ignores it."""

_CALL_TIMEOUT = 60.0
_FETCH_TIMEOUT = 120.0
_BUILD_TIMEOUT = 600.0


class GoUnavailable(Exception):
    """The peer cannot be built on this machine: no Go, or its modules cannot be fetched."""


class PeerError(Exception):
    """The peer refused an operation, or died; the text is Asynq's own."""


def build_peer(cache_dir: Path = CACHE_DIR, sources: Path | None = None) -> Path:
    """Return the executable of the peer, or of another Go program; build it first unless these very sources have been built.

    Raises:
        GoUnavailable: there is no `go`, or the modules cannot be fetched.
        PeerError: the program does not compile.
    """
    sources = sources or SOURCES
    cache_dir.mkdir(parents=True, exist_ok=True)
    binary = cache_dir / f"{sources.name}-{_fingerprint(sources)}"
    with _locked(cache_dir / "lock"):
        if not binary.exists():
            _build(binary, sources)
    return binary


def _fingerprint(sources: Path) -> str:
    """A hash of the sources and of the kind of machine."""
    digest = hashlib.sha256(f"{sys.platform} {platform.machine()}".encode())
    for source in sorted([*sources.glob("*.go"), sources / "go.mod", sources / "go.sum"]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes: several xdist workers build once."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(binary: Path, sources: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise GoUnavailable("Go is not installed: no `go` on the PATH")
    fetched = _run_go(go, sources, "mod", "download", timeout=_FETCH_TIMEOUT)
    if fetched.returncode != 0:
        raise GoUnavailable(
            f"the Go modules of {sources.name} cannot be fetched: {fetched.stderr.strip()[-500:]}"
        )
    unfinished = binary.with_suffix(".new")
    built = _run_go(
        go,
        sources,
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-o",
        str(unfinished),
        ".",
        timeout=_BUILD_TIMEOUT,
    )
    if built.returncode != 0:
        raise PeerError(f"{sources.name} does not compile:\n{built.stderr}")
    unfinished.replace(binary)


def _run_go(go: str, sources: Path, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    try:
        return subprocess.run(
            [go, *arguments],
            cwd=sources,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GoUnavailable(f"`go {' '.join(arguments)}` took more than {timeout:g} s") from error


@dataclass(frozen=True, slots=True)
class Peer:
    """Asynq in Go on one server or cluster.

    Args:
        binary: What `build_peer` returned.
        redis: `host:port`, `cluster:host:port,host:port`, `/path/to/socket` or a `redis://` URI.
        password: Of the server or the cluster.
        username: Who logs in there, if not the default user.
    """

    binary: Path
    redis: str
    password: str | None = None
    username: str | None = None

    def enqueue(self, tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Enqueue in this order by one client; return an answer for each, refusals included.

        A task has "type" and any of "payload" (a string; absent is nil), "queue", "id", "max_retry",
        "timeout_ms", "deadline_unix", "unique_ms", "process_in_ms", "process_at_unix", "retention_ms",
        "group" and "headers".
        An answer is {"ok": True, "id", "queue", "state"} or {"ok": False, "error", "duplicate", "conflict"}.
        """
        return self._call("enqueue", requests=tasks)

    def inspect(self, op: str, **fields: Any) -> Any:
        """Call one method of Asynq's Inspector, by the name it has in inspect.go, and return its result.

        Raises:
            PeerError: with the Inspector's own text.
        """
        answer = self._call("inspect", requests=[{"op": op, **fields}])[0]
        if not answer["ok"]:
            raise PeerError(answer["error"])
        return answer["result"]

    def bench(self, name: str, *, timeout: float = 600, **flags: object) -> dict[str, Any]:
        """Run `bench-enqueue`, `bench-drain` or `bench-latency`; keywords are its flags: interval_ms=1000."""
        return self._call(f"bench-{name}", *_flags(flags), timeout=timeout)[0]

    def work(self, queues: Mapping[str, int], *, concurrency: int = 4, **flags: object) -> PeerWorker:
        """A worker on these queues (name: weight) that runs inside a `with` block.

        Keywords are further flags of `peer work`: retry_delay_ms, shutdown_ms, group_grace_ms,
        group_max_size, group_max_delay_ms, delayed_check_ms, task_check_ms, janitor_ms, strict.
        """
        weights = ",".join(f"{name}={weight}" for name, weight in queues.items())
        arguments = _flags({"queues": weights, "concurrency": concurrency, **flags})
        return PeerWorker([*self._command("work"), "--until-eof", *arguments])

    def _command(self, name: str) -> list[str]:
        password = [] if self.password is None else [f"--password={self.password}"]
        username = [] if self.username is None else [f"--username={self.username}"]
        return [str(self.binary), name, f"--redis={self.redis}", *username, *password]

    def _call(
        self,
        name: str,
        *arguments: str,
        requests: Sequence[Mapping[str, Any]] = (),
        timeout: float = _CALL_TIMEOUT,
    ) -> list[dict[str, Any]]:
        """Run one sub-command to its end with these lines on stdin; return the lines of its stdout."""
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        command = [*self._command(name), *arguments]
        done = subprocess.run(
            command, input=lines, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise PeerError(done.stderr.strip()[-2000:])
        return [json.loads(line) for line in done.stdout.splitlines()]


def _flags(values: Mapping[str, object]) -> list[str]:
    """Turn keywords into flags in the form of Go's flag package."""
    return [
        f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
    ]


class PeerWorker:
    """A Go Asynq server in its own process; started by `with`, always ended by its process id."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._finished = False  # no further event will come

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self._reader = threading.Thread(target=self._read, name="peer-events", daemon=True)
        self._reader.start()
        try:
            self.wait_for(lambda events: bool(events), timeout=30, description="the Go worker is ready")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int:
        """The process id, as the server's record shows it."""
        return self._process.pid

    @property
    def events(self) -> list[Event]:
        """A copy of the events so far, in the order of the worker's writing."""
        with self._changed:
            return list(self._events)

    @property
    def log(self) -> str:
        """What Asynq has logged so far."""
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_for(self, predicate: Callable[[list[Event]], T], timeout: float, description: str) -> T:
        """Wait until the predicate of the events is true and return its value.

        Raises:
            AssertionError: it is not true in time, or not true when the process has ended.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (value := predicate(self._events)):
                left = deadline - time.monotonic()
                if self._finished or left <= 0:
                    cause = "the Go worker has ended" if self._finished else f"not within {timeout:g} s"
                    raise AssertionError(
                        f"{cause}: {description}\nevents: {self._events[-20:]}\nlog: {self.log[-2000:]}"
                    )
                self._changed.wait(left)
            return value

    def wait_for_end(self, task_id: str, timeout: float = 20) -> Event:
        """Wait until a run of this task has ended and return the last such event."""

        def last_end(events: list[Event]) -> Event | None:
            ends = [event for event in events if event["event"] == "end" and event["id"] == task_id]
            return ends[-1] if ends else None

        event = self.wait_for(last_end, timeout, f"a run of task {task_id} ends")
        assert event is not None
        return event

    def terminate(self, timeout: float = 30) -> None:
        """Ask for a graceful stop (SIGTERM) and wait for it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout)

    def kill(self) -> None:
        """End it without any chance to hand its tasks back."""
        self._process.kill()
        self._process.wait(25)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            with self._changed:
                self._events.append(event)
                self._changed.notify_all()
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def _end(self) -> None:
        """Stop gracefully if it can, by force if it must; leave no process, thread or file behind."""
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()
        finally:
            self._reader.join(10)
            for stream in (self._process.stdin, self._process.stdout, self._log):
                if stream is not None:
                    stream.close()
