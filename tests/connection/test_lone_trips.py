"""A command alone on a warm connection goes a shorter way: whatever is not as usual there still comes out right."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow.broker.command import Plain, same
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection import reply_reader, signals
from taskflow.connection.sync import SyncDriver
from taskflow.errors import ScriptError
from tests.servers import Server

ENOUGH = 10.0
"""Seconds for a command: more than the socket's own timeout, so that nothing has to be set for it."""


@pytest.fixture
def broker(valkey: Server) -> Iterator[Broker]:
    """With a warm connection."""
    broker = Broker(SyncDriver(valkey.url))
    assert broker.run(Plain(("PING",), same), ENOUGH) == b"PONG"
    yield broker
    broker.close()


@pytest.mark.parametrize(
    "size", [1, 20_000, 3_000_000], ids=["small", "over one sending", "over one reading"]
)
def test_requests_and_replies_of_any_size_arrive_whole(broker: Broker, queue: str, size: int) -> None:
    key, slot = queue_keys(queue).answer("large"), queue_keys(queue).slot
    for letter in "abc":
        assert broker.run(Plain(("SET", key, letter * size, "PX", 60_000), same, slot), ENOUGH) == b"OK"
        assert broker.run(Plain(("GET", key), same, slot), ENOUGH) == letter.encode() * size


def test_a_word_that_is_no_utf_8_goes_as_the_bytes_that_it_was(broker: Broker) -> None:
    """An id of somebody else's may be any bytes."""
    assert broker.run(Plain(("ECHO", "caf\udce9"), same), ENOUGH) == b"caf\xe9"


def test_an_error_is_the_callers_and_the_connection_goes_on(broker: Broker) -> None:
    driver = broker.driver
    (before,) = driver._pools[driver.topology.masters()[0]]
    with pytest.raises(ScriptError, match="unknown command"):
        broker.run(Plain(("NONSENSE",), same), ENOUGH)
    assert broker.run(Plain(("PING",), same), ENOUGH) == b"PONG"
    (after,) = driver._pools[driver.topology.masters()[0]]
    assert after is before


@pytest.fixture
def handler() -> Iterator[Callable[[], None]]:
    """Installs a handler of a signal."""
    before = signal.getsignal(signal.SIGUSR2)
    yield lambda: signal.signal(signal.SIGUSR2, lambda *_: None) and None  # type: ignore[func-returns-value]
    signal.signal(signal.SIGUSR2, before)
    signals.handlers.look_at = 0.0


def test_a_thread_that_signals_may_interrupt_waits_by_polling(
    broker: Broker, handler: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each signal would begin the wait anew (see test_reentry)."""
    waited: list[int] = []
    replies = reply_reader.ReplyReader.replies

    def watched(self: Any, *args: Any) -> None:
        waited.append(1)
        replies(self, *args)

    monkeypatch.setattr(reply_reader.ReplyReader, "replies", watched)
    handler()
    signals.handlers.look_at = 0.0
    for _ in range(3):
        assert broker.run(Plain(("PING",), same), ENOUGH) == b"PONG"
    assert len(waited) == 3
