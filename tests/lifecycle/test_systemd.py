"""What a real worker tells systemd, here by a socket of the test's own: `Type=notify` and `WatchdogSec=`."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow import TaskFlow
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

APP = """
import time
from pathlib import Path
from taskflow import TaskFlow

app = TaskFlow("units", broker={broker!r})

@app.task(queue={queue!r}, name="wait")
def wait(file: str) -> None:
    Path(file).with_name("started").touch()
    while not Path(file).exists():
        time.sleep(0.02)
"""


class Systemd:
    """The socket, and what has come to it."""

    def __init__(self, path: Path, patience: float = 20) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(patience)

    def hears(self) -> list[str]:
        """The lines of the next message."""
        return self._socket.recv(4096).decode().splitlines()

    def hears_until(self, line: str) -> list[list[str]]:
        """All messages up to the first with this line."""
        heard = [self.hears()]
        while line not in heard[-1]:
            heard.append(self.hears())
        return heard

    def forget(self) -> None:
        """Throw away what has come."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(4096)
        except BlockingIOError:
            self._socket.settimeout(20)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(tmp_path / "notify")
    yield systemd
    systemd.close()


def worker(systemd: Systemd, tmp_path: Path, valkey: Server, queue: str, **variables: str) -> WorkerProcess:
    (tmp_path / "units.py").write_text(APP.format(broker=valkey.url, queue=queue))
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), **variables}
    return WorkerProcess("units", directory=tmp_path, environment=environment, concurrency=1)


def test_systemd_hears_when_a_worker_takes_tasks_that_it_gets_on_and_that_it_stops(
    systemd: Systemd, tmp_path: Path, valkey: Server, queue: str
) -> None:
    """`systemctl start` returns when tasks are taken; a stop that waits for a long task is not taken for one that hangs."""
    with worker(systemd, tmp_path, valkey, queue, WATCHDOG_USEC="60000000") as running:
        assert systemd.hears() == ["STATUS=all loops get on", "READY=1", "WATCHDOG=1"]
        assert systemd.hears() == ["WATCHDOG=1"], "what has not changed is not said again"
        app = TaskFlow("client", broker=valkey.url)
        app.send("wait", file=str(tmp_path / "enough"), queue=queue)
        app.close()
        # Not "received", which the log says of what a stop still hands back.
        wait_until((tmp_path / "started").exists, description="the task runs")
        running.signal(signal.SIGTERM)
        assert systemd.hears_until("STOPPING=1")[-1] == ["STATUS=stopping", "STOPPING=1", "WATCHDOG=1"]
        assert systemd.hears() == ["WATCHDOG=1"], "while a task has its grace"
        (tmp_path / "enough").touch()
        assert running.wait() == 0


def test_the_watchdog_starves_when_the_event_loop_stands_still(
    systemd: Systemd, tmp_path: Path, valkey: Server, queue: str
) -> None:
    """A worker that lives and does nothing is what the watchdog is for."""
    with worker(systemd, tmp_path, valkey, queue, WATCHDOG_USEC="60000000") as running:
        systemd.hears_until("READY=1")
        running.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
        systemd.forget()
        systemd._socket.settimeout(1.5)
        with pytest.raises(TimeoutError):
            systemd.hears()
        running.signal(signal.SIGCONT)
        assert "WATCHDOG=1" in systemd.hears()


def test_a_watchdog_of_another_process_is_not_fed(
    systemd: Systemd, tmp_path: Path, valkey: Server, queue: str
) -> None:
    """Whatever a unit starts inherits its variables: WATCHDOG_PID says whom they are for."""
    with worker(systemd, tmp_path, valkey, queue, WATCHDOG_USEC="60000000", WATCHDOG_PID="1"):
        assert systemd.hears() == ["STATUS=all loops get on", "READY=1"]


def test_a_worker_goes_on_where_nobody_listens_any_more(
    systemd: Systemd, tmp_path: Path, valkey: Server, queue: str
) -> None:
    systemd.close()
    (tmp_path / "notify").unlink()
    with worker(systemd, tmp_path, valkey, queue, WATCHDOG_USEC="60000000") as running:
        assert running.terminate() == 0
        assert not [line for line in running.log if " ERROR " in line or " WARNING " in line]
