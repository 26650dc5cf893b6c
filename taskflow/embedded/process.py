"""Server processes: start one detached, recognise it later, end it, and read the end of its log."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from taskflow.embedded import locking
from taskflow.embedded.layout import NodeFiles
from taskflow.errors import EmbeddedServerError

_POLL = 0.02
_LAUNCH_TIMEOUT = 20.0
_GRACE = 10.0
_KILL_TIMEOUT = 5.0
_TAIL_LINES = 12
_PROC = Path("/proc")
# The server outlives whoever starts it, so it takes along only what a program needs to run, not its secrets.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def launch(binary: Path, files: NodeFiles) -> int:
    """Start the server of one node, detached from this process, its session, its pipes and its terminal.

    The server detaches itself (`daemonize`): it is nobody's child here, so that no caller must wait for it.
    It inherits a locked descriptor, which the kernel keeps locked until the server is dead: no second one can
    start on the same files, whatever happens to process ids, pid files and starters in between.

    Returns:
        How long the log was before, in bytes.

    Raises:
        EmbeddedServerError: the files belong to a living process, or the server refused its configuration.
    """
    descriptor = os.open(files.alive, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if not locking.acquire(descriptor, _GRACE):
            raise _unknown_process(files)
        files.pid.unlink(missing_ok=True)
        log_start = log_size(files)
        code = _run(binary, files, descriptor)
    finally:
        os.close(descriptor)
    if code:
        raise EmbeddedServerError(f"{binary} ended with code {code}{tail(files, log_start)}")
    return log_start


def _run(binary: Path, files: NodeFiles, lock: int) -> int:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(files.log, flags, 0o600), "ab") as log:
        try:
            return subprocess.run(
                [binary, files.conf],
                stdin=subprocess.DEVNULL,
                stdout=log,  # what it says before it has read where its log is
                stderr=log,
                cwd=files.folder,
                env=environment,
                pass_fds=(lock,),
                start_new_session=True,
                umask=0o077,
                timeout=_LAUNCH_TIMEOUT,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise EmbeddedServerError(f"{binary} did not detach within {_LAUNCH_TIMEOUT:.0f} s") from None


def find(files: NodeFiles) -> int | None:
    """Return the process id of a node's server, or None when it is not running.

    A process counts only if its command line names our configuration file: the number in a pid file may long
    belong to a stranger.
    """
    pid = _read_pid(files)
    if pid is not None and _serves(pid, files.conf):
        return pid
    # The server may be so young that it has not written its pid file, or somebody removed that.
    return _scan(files.conf) if locking.is_held(files.alive) else None


def wait_released(files: NodeFiles) -> None:
    """Wait until a server that has ended has let go of its files and ports.

    The kernel takes its time with a large one, and one that was killed may have a child that still saves.

    Raises:
        EmbeddedServerError: somebody keeps them.
    """
    deadline = time.monotonic() + _GRACE
    while locking.is_held(files.alive):
        if time.monotonic() > deadline:
            raise _unknown_process(files)
        time.sleep(_POLL)


def _unknown_process(files: NodeFiles) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"an unknown process works in {files.folder}: the directory was moved while it ran, "
        "or it is in another container; end it first"
    )


def is_starting_or_alive(files: NodeFiles) -> bool:
    """Say whether a server holds the node's files."""
    return locking.is_held(files.alive)


def terminate(nodes: Sequence[NodeFiles], grace: float = _GRACE) -> int:
    """End the servers of these nodes: SIGTERM to all, SIGKILL to those left after `grace` seconds.

    Returns:
        The number of processes that were running.

    Raises:
        EmbeddedServerError: one survived even that.
    """
    running = {files: pid for files in nodes if (pid := find(files)) is not None}
    left = _signal(running, signal.SIGTERM, grace)
    left = _signal(left, signal.SIGKILL, _KILL_TIMEOUT)
    if left:
        raise EmbeddedServerError(f"process {min(left.values())} cannot be ended")
    for files in running:
        files.pid.unlink(missing_ok=True)
    return len(running)


def _signal(
    processes: Mapping[NodeFiles, int], number: signal.Signals, timeout: float
) -> dict[NodeFiles, int]:
    """Send a signal, wait until the processes are gone, and return those that are not."""
    for files, pid in processes.items():
        if _serves(pid, files.conf):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    deadline = time.monotonic() + timeout
    # Not gone before its lock is: only then are its files and ports free.
    while any(_serves(pid, files.conf) or locking.is_held(files.alive) for files, pid in processes.items()):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL)
    return {files: pid for files, pid in processes.items() if _serves(pid, files.conf)}


def log_size(files: NodeFiles) -> int:
    """Return the size of a node's log in bytes."""
    try:
        return files.log.stat().st_size
    except FileNotFoundError:
        return 0


def tail(files: NodeFiles, start: int) -> str:
    """Return the last lines logged after byte `start`, made to stand at the end of an error message."""
    try:
        with files.log.open("rb") as log:
            log.seek(max(start, log_size(files) - 8_192))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    if not lines:
        return f"; {files.log} says nothing"
    return "\n".join([f"; the end of {files.log}:", *(f"  {line}" for line in lines[-_TAIL_LINES:])])


def _read_pid(files: NodeFiles) -> int | None:
    try:
        text = files.pid.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None


def _serves(pid: int, conf: Path) -> bool:
    """Say whether a process is a server of this user with this configuration; a dead one not yet waited for is not.

    Anybody can give a process such a command line, and would be told the password.
    """
    if _PROC.joinpath("self").exists():
        try:
            words = _PROC.joinpath(str(pid), "cmdline").read_bytes().split(b"\0")
            if os.fsencode(conf) not in words[1:]:
                return False
            status = _PROC.joinpath(str(pid), "status").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False
        return _user_of(status) == os.geteuid()
    # macOS has no /proc, and its `ps` does not separate the words; the path is the last of them.
    words_of = ["ps", "-ww", "-o", "uid=,command=", "-p", str(pid)]
    answer = subprocess.run(words_of, capture_output=True, check=False).stdout.strip()
    user = answer.partition(b" ")[0]
    return user == str(os.geteuid()).encode() and answer.endswith(b" " + os.fsencode(conf))


def _user_of(status: bytes) -> int:
    """The effective user of a process, from `/proc/<pid>/status`; -1: unknown."""
    for line in status.splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[2])
    return -1


def _scan(conf: Path) -> int | None:
    return next((pid for pid in _all_pids() if _serves(pid, conf)), None)


def _all_pids() -> Iterator[int]:
    if _PROC.joinpath("self").exists():
        yield from (int(entry.name) for entry in _PROC.glob("[0-9]*"))
    else:
        answer = subprocess.run(["ps", "-axo", "pid="], capture_output=True, check=False)
        yield from (int(word) for word in answer.stdout.split())
