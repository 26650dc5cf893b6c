"""The proxy: what passes, what does not, and that it cuts whole replies."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from taskflow.broker.commands.maintenance import recover
from taskflow.broker.scripts import load
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from tests.chaos.policy import FAULTS, Fate, Policy
from tests.chaos.proxy import Proxy
from tests.chaos.resp import Splitter, command
from tests.servers import Server

VALUES = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":7\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$5\r\na\r\nbc\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n$1\r\na\r\n*2\r\n:1\r\n*1\r\n$2\r\n\r\n\r\n",
    b"%1\r\n+a\r\n*1\r\n:1\r\n",
]


@given(st.lists(st.sampled_from(VALUES), max_size=8), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_splits_a_stream_into_whole_values_however_it_comes(values: list[bytes], sizes: list[int]) -> None:
    found: list[bytes] = []
    stream, splitter, turn = b"".join(values), Splitter(), 0
    while stream:
        size = sizes[turn % len(sizes)]
        found += splitter.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert found == values
    assert splitter.pending == b""


def test_names_scripts_by_their_digest() -> None:
    script = load("enqueue")
    assert command(request("EVALSHA", script.sha, 0)) == "enqueue"
    assert command(request("eval", script.source, 0)) == "enqueue"
    assert command(b"*2\r\n$7\r\nEVALSHA\r\n$3\r\nabc\r\n") == "unknown script"
    assert command(b"*2\r\n$3\r\nget\r\n$1\r\nk\r\n") == "GET"


def test_every_script_meets_every_fault_in_turn() -> None:
    policy = Policy(random.Random(1), every=3)
    fates = [policy.decide("enqueue") for _ in range(9)]
    assert [number for number, fate in enumerate(fates, 1) if fate is not Fate.PASS] == [2, 3, 6, 9]
    assert set(fates) == {Fate.PASS, *FAULTS}
    assert [policy.decide("recover") for _ in range(2)] == [Fate.PASS, FAULTS[0]], "rare ones are not spared"
    assert policy.decide("PING") is Fate.PASS
    assert policy.faults("enqueue") == 4
    assert policy.quiet().decide("enqueue") is Fate.PASS


@pytest.fixture
def proxy(valkey: Server) -> Iterator[Proxy]:
    proxy = Proxy(valkey.port, Policy(random.Random(1)), random.Random(1))
    proxy.start()
    yield proxy
    proxy.stop()


def talk(port: int, *requests: bytes, patience: float = 1.0) -> bytes:
    """Send requests in one piece; everything that comes back, until the end or silence."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        connection.sendall(b"".join(requests))
        received = b""
        try:
            while data := connection.recv(1 << 16):
                received += data
        except TimeoutError:
            return received + b"<silence>"
        except ConnectionError:
            pass
        return received + b"<end>"


def request(*words: str | int) -> bytes:
    pack: Callable[..., list[bytes]] = redis.Connection().pack_command  # type: ignore[no-untyped-call]
    return b"".join(pack(*words))


ECHO = request("ECHO", "x")


def evaluate(text: str) -> bytes:
    return request("EVAL", "redis.call('INCR', KEYS[1]); return ARGV[1]", 1, "runs", text)


def test_passes_everything_on(proxy: Proxy, raw: redis.Redis) -> None:
    through = redis.Redis(port=proxy.port, protocol=2)
    through.set("big", b"\r\n" * 200_000)
    assert through.get("big") == b"\r\n" * 200_000
    with through.pubsub() as pubsub:  # type: ignore[no-untyped-call]
        pubsub.subscribe("channel")
        assert pubsub.get_message(timeout=2) is not None
        raw.publish("channel", "hello")
        message = pubsub.get_message(timeout=2)
        assert message is not None
        assert message["data"] == b"hello"
    through.close()


@pytest.mark.parametrize(
    ("fate", "runs", "reply"),
    [
        (Fate.BEFORE, 0, b"$1\r\nx\r\n<end>"),
        (Fate.CLOSE, 1, b"$1\r\nx\r\n<end>"),
        (Fate.SILENT, 1, b"$1\r\nx\r\n<silence>"),
    ],
)
def test_a_fault_ends_the_stream_at_that_reply(
    proxy: Proxy, raw: redis.Redis, fate: Fate, runs: int, reply: bytes
) -> None:
    raw.delete("runs")
    proxy.policy = Policy(random.Random(1), probability=1.0, kinds=(fate,), only=("unknown script",))
    assert talk(proxy.port, ECHO, evaluate("a"), ECHO) == reply
    assert int(raw.get("runs") or 0) == runs
    assert proxy.policy.faults("unknown script") == 1


def test_cuts_and_refuses(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
        connection.sendall(ECHO)
        assert connection.recv(100) == b"$1\r\nx\r\n"
        assert proxy.cut() == 1
        assert connection.recv(100) == b""
    proxy.refuse(True)
    assert talk(proxy.port, ECHO) == b"<end>"
    proxy.refuse(False)
    assert talk(proxy.port, ECHO, patience=0.3) == b"$1\r\nx\r\n<silence>"


def test_what_fell_into_a_hole_comes_late(proxy: Proxy, raw: redis.Redis) -> None:
    """The client has long gone, and its command runs all the same."""
    raw.delete("runs")
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
        connection.sendall(ECHO)
        assert connection.recv(100) == b"$1\r\nx\r\n"
        proxy.hole(True)
        time.sleep(0.1)
        connection.sendall(evaluate("late"))
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(100)
    assert raw.get("runs") is None
    proxy.hole(False)
    deadline = time.monotonic() + 5
    while raw.get("runs") is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_delays(proxy: Proxy) -> None:
    proxy.delay(0.3, 0.3)
    began = time.monotonic()
    assert talk(proxy.port, ECHO, patience=0.8).startswith(b"$1")
    assert time.monotonic() - began > 0.3


def test_the_product_gets_through(proxy: Proxy) -> None:
    """Every other call of a script is hurt, in each way in turn."""
    proxy.policy = Policy(random.Random(1), every=2)
    broker = Broker(SyncDriver(f"redis://127.0.0.1:{proxy.port}?socket_timeout=0.3"))
    assert [broker.run(recover("proxied"), 20) for _ in range(8)] == [[]] * 8
    broker.close()
    assert proxy.policy.faults("recover") >= 4
