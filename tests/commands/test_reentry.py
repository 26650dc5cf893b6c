"""A thread that enqueues while it is enqueueing already: from a signal handler, a finalizer, a handler of a log."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.client.group_commit import GroupCommit
from taskflow.connection import resolving, sync
from taskflow.connection.sync import SyncDriver
from taskflow.errors import BrokerUnavailable
from tests.commands.together import tasks_of, waiting
from tests.servers import Server
from tests.workers import ROOT

HEAD = """
import os, signal, sys, threading, time
from tests.commands.together import tasks_of, waiting

url, queue = sys.argv[1:]
tasks_of(url, queue + "-other")[1].delay()  # imports what it needs: nothing can be imported twice at a time
app, noop = tasks_of(url, queue)
again = []

def enqueue_again(*_):
    begun = time.monotonic()
    again.append(noop.delay(-1).id)
    # Not sooner, and with as much time for what is interrupted: on a busy machine it would get none.
    signal.setitimer(signal.ITIMER_REAL, max(0.0007, time.monotonic() - begun))
"""

SIGNALS = """
# A fresh app: what its first call does is interrupted too.
signal.signal(signal.SIGALRM, enqueue_again)
signal.setitimer(signal.ITIMER_REAL, 0.001)
stop = threading.Event()

def others():
    while not stop.is_set():
        noop.delay(-2)

threads = [threading.Thread(target=others, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
until, number = time.monotonic() + 1.0, 0
while time.monotonic() < until or len(again) < 50:
    noop.delay(number)
    number += 1
signal.setitimer(signal.ITIMER_REAL, 0)
stop.set()
for thread in threads:
    thread.join()
numbers = waiting(noop)
assert sorted(one for one in numbers if one >= 0) == list(range(number)), "each once"
assert numbers.count(-1) == len(again)
"""

BATCHES = """
signal.signal(signal.SIGALRM, enqueue_again)
signal.setitimer(signal.ITIMER_REAL, 0.001)
until, handles = time.monotonic() + 1.0, {}
while time.monotonic() < until or len(again) < 20:
    with app.batch():
        for _ in range(20):
            number = len(handles)
            handles[number] = noop.delay(number).id
signal.setitimer(signal.ITIMER_REAL, 0)
assert sorted(one for one in waiting(noop) if one >= 0) == list(range(len(handles)))
assert waiting(noop).count(-1) == len(again)
from taskflow.broker.keys import queue_keys
from taskflow.broker.command import Plain, same
from taskflow.message.task_message import TaskMessage
keys = queue_keys(queue)
for number, id_ in list(handles.items())[:50]:  # a handle belongs to its own call, not to its neighbour's
    stored = app.client.broker.run(Plain(("HGET", keys.task(id_), "msg"), same, keys.slot))
    assert noop._decode(TaskMessage.decode(stored).payload) == {"number": number}
"""

FORKS = """
# Forks while other threads hold whatever they hold: the child has their locks, but not the threads.
stop = threading.Event()

def others():
    while not stop.is_set():
        noop.delay(-2)

threads = [threading.Thread(target=others, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
for number in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        noop.delay(number)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop.set()
for thread in threads:
    thread.join()
assert sorted(one for one in waiting(noop) if one >= 0) == list(range(20))
"""


@pytest.mark.parametrize("program", [SIGNALS, BATCHES, FORKS], ids=["signals", "batches", "forks"])
def test_whoever_interrupts_an_enqueue_can_enqueue(valkey: Server, queue: str, program: str) -> None:
    """A signal handler that came while its own thread held the lock of `.delay()` waited for it without end, and with it the
    whole program.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", HEAD + program, valkey.url, queue],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")


def in_time(work: Callable[[], object]) -> None:
    """Run in a thread, which would otherwise never come back."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits for itself"
    if failed:
        raise failed[0]


def test_a_thread_that_holds_the_lock_of_the_line_goes_by_itself() -> None:
    trips: list[list[Any]] = []

    def send(key: Any, items: list[Any], timeout: float, resent: bool) -> list[Any]:
        trips.append(items)
        return items

    commit: GroupCommit[Any, Any, Any] = GroupCommit(send, lambda value: False)
    inner: list[Any] = []

    class Interrupted:
        """The lock; whoever takes it first is interrupted while it holds it."""

        def __init__(self) -> None:
            self._lock = threading.Lock()

        def __enter__(self) -> None:
            self._lock.acquire()
            if not inner:
                inner.append("under way")
                inner[0] = commit.submit("node", "inner", 1, 5)

        def __exit__(self, *error: object) -> None:
            self._lock.release()

    commit._mutex = Interrupted()  # type: ignore[assignment]

    in_time(lambda: commit.submit("node", "outer", 1, 5))
    assert (inner, trips) == (["inner"], [["inner"], ["outer"]])


def test_the_first_call_of_all_can_be_interrupted(
    valkey: Server, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, noop = tasks_of(valkey.url, queue)
    make = resolving.topology_of
    calls: list[str] = []

    def interrupted(url: Any) -> Any:
        calls.append("again")
        if len(calls) == 1:
            noop.delay(1)
        return make(url)

    monkeypatch.setattr(resolving, "topology_of", interrupted)

    in_time(lambda: noop.delay(2))
    assert waiting(noop) == [1, 2]
    app.close()


def test_a_look_at_the_cluster_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inner call waited for the outer one's look until its time was over."""
    driver = SyncDriver("redis+cluster://127.0.0.1:1")
    asked: list[Any] = []

    def ask(inquiry: Any, url: Any) -> None:
        asked.append(inquiry)
        if len(asked) == 1:
            began = time.monotonic()
            with pytest.raises(BrokerUnavailable):
                driver.masters(30)
            assert time.monotonic() - began < 5

    monkeypatch.setattr(sync, "inquire", ask)

    with pytest.raises(BrokerUnavailable):
        driver.masters(30)
    assert len(asked) >= 2


def test_a_call_that_interrupts_the_start_of_the_embedded_server_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would wait for a lock on a file that its own thread holds."""
    driver = SyncDriver("embedded:///nowhere")

    def start(url: Any) -> Any:
        with pytest.raises(BrokerUnavailable, match="is being started by the very code"):
            driver.masters(30)
        raise BrokerUnavailable("not really")

    monkeypatch.setattr(resolving, "resolve", start)

    with pytest.raises(BrokerUnavailable, match="not really"):
        driver.masters(30)


def test_a_call_that_interrupts_the_import_of_the_client_is_refused_at_once() -> None:
    """Nothing can be imported twice at a time. It was "cannot import name 'Client' from partially initialized module"."""
    program = """
        import builtins
        from taskflow import TaskFlow, errors
        app = TaskFlow("shop", broker="redis://127.0.0.1:1", enqueue_timeout=0.1)
        @app.task(name="noop")
        def noop(): ...
        real, seen = builtins.__import__, []
        def interrupted(name, *args, **kwargs):
            if name == "redis" and not seen:
                seen.append(name)
                try:
                    noop.delay()
                except errors.BrokerUnavailable as error:
                    print(error)
            return real(name, *args, **kwargs)
        builtins.__import__ = interrupted
        try:
            noop.delay()
        except errors.BrokerUnavailable as error:
            print(error)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert "interrupted the import of the client" in done.stdout.splitlines()[0], done.stderr
    assert "may not have been enqueued" in done.stdout.splitlines()[1]


def test_the_broker_of_an_app_is_made_once(valkey: Server) -> None:
    """Without a lock, all threads still share one."""
    app = TaskFlow("shop", broker=valkey.url)
    client, start = app.client, threading.Barrier(8)
    found: list[int] = []

    def look() -> None:
        start.wait(10)
        found.append(id(client.broker))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_signals_do_not_lengthen_the_wait_for_a_silent_node() -> None:
    """With a signal every now and then (a profiler, a timer) each began the wait anew, and `enqueue_timeout` never came."""
    program = """
        import signal, socket, sys, time
        from taskflow import TaskFlow, errors
        silent = socket.create_server(("127.0.0.1", 0))
        app = TaskFlow("shop", broker=f"redis://127.0.0.1:{silent.getsockname()[1]}", enqueue_timeout=0.5)
        @app.task(name="noop")
        def noop(): ...
        app.client  # imports what it needs
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        began = time.monotonic()
        try:
            noop.delay()
        except errors.BrokerUnavailable:
            signal.setitimer(signal.ITIMER_REAL, 0)
            print(time.monotonic() - began)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, timeout=30
    )

    assert 0.4 < float(done.stdout) < 10, done.stderr
