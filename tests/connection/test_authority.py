"""Who is believed about who owns what: no single node that happens to come first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from taskflow import TaskFlow, errors
from taskflow.connection.discovery import Said, understood
from taskflow.connection.inquiry import GRACE, HEAD_START, Inquiry
from taskflow.connection.sync import SyncDriver
from taskflow.connection.topology import Topology
from taskflow.connection.url import parse
from taskflow.connection.waiting import Listener
from tests.clusters import cut_off, lone_node
from tests.sentinels import start_sentinel
from tests.servers import Server, start_server
from tests.silence import BlackHole

SOON = 3.5
"""Seconds; what believed the wrong one failed after five."""

SECRET = "of-another-cluster"


def delay(url: str, *, queue: str = "default", limit: float = 5.0) -> float:
    """Seconds that a `.delay()` takes, with nothing known before."""
    app = TaskFlow("client", broker=url, enqueue_timeout=limit, queue=queue)
    task = app.task(name="t")(lambda: None)
    began = time.monotonic()
    try:
        task.delay()
        return time.monotonic() - began
    finally:
        app.close()


def adelay(url: str, *, queue: str = "default", limit: float = 5.0) -> float:
    async def call() -> float:
        app = TaskFlow("client", broker=url, enqueue_timeout=limit, queue=queue)
        task = app.task(name="t")(lambda: None)
        began = time.monotonic()
        try:
            await task.adelay()
            return time.monotonic() - began
        finally:
            await app.aclose()

    return asyncio.run(call())


def hosts(*servers: Server) -> str:
    return ",".join(f"127.0.0.1:{server.port}" for server in servers)


def pending(server: Server, queue: str) -> int:
    with redis.Redis(port=server.port) as client:
        return int(client.llen(f"asynq:{{{queue}}}:pending"))


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The node that everybody should find."""
    with lone_node(tmp_path_factory.mktemp("new"), epoch=9) as server:
        yield server


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A master that was cut off from its cluster, and can be reached: it claims its old slots and serves none."""
    with lone_node(tmp_path_factory.mktemp("old"), epoch=3) as server:
        cut_off(server)
        yield server


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A node with another password."""
    with lone_node(tmp_path_factory.mktemp("locked"), epoch=20, password=SECRET) as server:
        yield server


@pytest.mark.parametrize("call", [delay, adelay])
@pytest.mark.parametrize("first", ["old", "locked", "nobody", "plain", "silent"])
def test_a_node_that_comes_first_and_knows_nothing_is_passed_over(
    first: str,
    call: Callable[..., float],
    request: pytest.FixtureRequest,
    new: Server,
    valkey: Server,
    queue: str,
) -> None:
    """First in the list each meant failure, last in the list none did."""
    with ExitStack() as stack:
        if first == "silent":
            where = f"127.0.0.1:{stack.enter_context(BlackHole()).port}"
        elif first == "nobody":
            where = "127.0.0.1:1"
        else:
            where = hosts(valkey if first == "plain" else request.getfixturevalue(first))
        took = call(f"redis+cluster://{where},{hosts(new)}", queue=queue)
    assert took < SOON
    assert pending(new, queue) == 1


@pytest.mark.parametrize("call", [delay, adelay])
def test_a_master_that_was_cut_off_while_we_used_it_is_left(
    call: Callable[..., float], tmp_path: Path, new: Server, queue: str
) -> None:
    """It answers CLUSTERDOWN, and still names itself as the owner: whoever asks it first again never finds its successor."""
    with lone_node(tmp_path / "former", epoch=4) as former:
        url = f"redis+cluster://{hosts(former, new)}"
        if call is delay:
            app = TaskFlow("client", broker=url, queue=queue)
            task = app.task(name="t")(lambda: None)
            task.delay()
            assert pending(former, queue) == 1
            cut_off(former)
            began = time.monotonic()
            task.delay()
            took = time.monotonic() - began
            app.close()
        else:

            async def calls() -> float:
                app = TaskFlow("client", broker=url, queue=queue)
                task = app.task(name="t")(lambda: None)
                await task.adelay()
                cut_off(former)
                began = time.monotonic()
                await task.adelay()
                took = time.monotonic() - began
                await app.aclose()
                return took

            took = asyncio.run(calls())
    assert took < SOON
    assert pending(new, queue) == 1


def test_only_when_every_node_refuses_it_is_an_error_at_once(locked: Server, new: Server) -> None:
    began = time.monotonic()
    with pytest.raises(errors.BrokerAuthError, match="asks for a password"):
        delay(f"redis+cluster://{hosts(locked, locked)}")
    assert time.monotonic() - began < SOON
    # With the right password for one of them only, the other one serves.
    with pytest.raises(errors.BrokerAuthError, match=r"refused the login|has no password"):
        delay(f"redis+cluster://:wrong@{hosts(locked, new)}")
    assert delay(f"redis+cluster://:{SECRET}@{hosts(new, locked)}") < SOON


def test_where_some_refuse_and_the_others_are_silent_the_refusal_is_what_is_said(locked: Server) -> None:
    with BlackHole() as hole, pytest.raises(errors.BrokerAuthError, match="asks for a password"):
        delay(f"redis+cluster://127.0.0.1:{hole.port},{hosts(locked)}", limit=1)


@pytest.mark.parametrize("stranger", ["plain", "another cluster", "with a password"])
@pytest.mark.parametrize("call", ["sync", "aio"])
def test_another_server_on_a_dead_masters_address_gets_nothing(
    stranger: str, call: str, tmp_path: Path, new: Server, queue: str
) -> None:
    """An address is given to another server, as those of pods are: it took the tasks, nobody ran them; or refused them, for as
    long as it came first.
    """

    def takes_over(port: int) -> ExitStack:
        stack = ExitStack()
        if stranger == "plain":
            server = start_server(tmp_path, port=port)
            stack.callback(server.stop)
        else:
            password = SECRET if stranger == "with a password" else ""
            stack.enter_context(lone_node(tmp_path / "stranger", port=port, password=password))
        return stack

    with lone_node(tmp_path / "former", epoch=4) as former:
        app = TaskFlow("client", broker=f"redis+cluster://{hosts(former, new)}", queue=queue)
        task = app.task(name="t")(lambda: None)

        def check(port: int, took: float) -> None:
            assert took < SOON
            assert pending(new, queue) == 1
            with redis.Redis(port=port, password=SECRET if stranger == "with a password" else None) as client:
                assert client.dbsize() == 0

        if call == "sync":
            task.delay()
            former.stop()
            with takes_over(former.port):
                began = time.monotonic()
                task.delay()
                check(former.port, time.monotonic() - began)
            app.close()
            return

        async def calls() -> None:
            await task.adelay()
            former.stop()
            with takes_over(former.port):
                began = time.monotonic()
                await task.adelay()
                check(former.port, time.monotonic() - began)
            await app.aclose()

        asyncio.run(calls())


# --- Sentinel -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server, list[Server]]]:
    """The old master and the new one, both alive; a Sentinel that has missed the fail-over, and two that have not."""
    with ExitStack() as stack:
        masters = [start_server(tmp_path_factory.mktemp(name)) for name in ("old-master", "new-master")]
        sentinels = []
        for number, (master, epoch) in enumerate([(masters[0], 0), (masters[1], 5), (masters[1], 5)]):
            folder = tmp_path_factory.mktemp(f"sentinel{number}")
            sentinels.append(start_sentinel(folder, master.port, 2, epoch=epoch))
        for server in (*masters, *sentinels):
            stack.callback(server.stop)
        yield masters[0], masters[1], sentinels


@pytest.mark.parametrize("call", [delay, adelay])
@pytest.mark.parametrize("chosen", [(0, 1, 2), (0, 1), (1, 2, 0)])
def test_a_sentinel_that_has_missed_the_failover_is_not_believed(
    chosen: tuple[int, ...],
    call: Callable[..., float],
    watched: tuple[Server, Server, list[Server]],
    queue: str,
) -> None:
    """It is first in the list, and its master is alive: everything went to a master that nobody else uses, and was lost."""
    old, new, sentinels = watched
    url = f"redis+sentinel://{hosts(*(sentinels[number] for number in chosen))}/main"
    assert call(url, queue=queue) < SOON
    assert (pending(old, queue), pending(new, queue)) == (0, 1)


def test_a_server_that_is_no_master_is_left_whatever_the_sentinel_says(tmp_path: Path) -> None:
    """A Sentinel names the old master for a while after it has become a replica. Who waits there for a message waits in vain."""
    for name in ("master", "replica", "sentinel"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack:
        master = start_server(tmp_path / "master")
        stack.callback(master.stop)
        replica = start_server(tmp_path / "replica")
        stack.callback(replica.stop)
        sentinel = start_sentinel(tmp_path / "sentinel", replica.port, 1)
        stack.callback(sentinel.stop)
        with redis.Redis(port=replica.port) as client:
            client.replicaof("127.0.0.1", master.port)
            driver = SyncDriver(f"redis+sentinel://{hosts(sentinel)}/main")
            with pytest.raises(errors.BrokerUnavailable, match="not the master any more"):
                Listener(driver, 0, "channel", 1.0)
            client.replicaof("NO", "ONE")
        Listener(driver, 0, "channel", 5.0).close()
        driver.close()


# --- who is believed, without I/O -----------------------------------------------------------------------------

A, B, C, D, E = (("node", number) for number in range(1, 6))


def inquiry(*known: tuple[str, int], doubt: bool = True) -> tuple[Topology, Inquiry]:
    topology = Topology(known, cluster=True)
    url = parse("redis+cluster://" + ",".join(f"{host}:{port}" for host, port in known))
    return topology, Inquiry(topology, url, doubt=doubt, now=0.0, deadline=10.0)


def says(by: tuple[str, int], owner: tuple[str, int], *, epoch: int = 0, sound: bool = True) -> Said:
    return Said(by, ((0, 16383, owner, ""),), sound, epoch)


def test_while_all_is_well_one_node_is_asked() -> None:
    topology, asking = inquiry(A, B, C, doubt=False)
    assert [address for address, _ in asking.due(0.0)] == [A]
    asking.take(A, says(A, B), 0.01)
    assert asking.is_over(0.01)
    assert not asking.due(0.01)
    asking.conclude(0.01)
    assert topology.owner(1) == B


def test_a_node_that_knows_itself_cut_off_is_not_enough_even_at_the_start() -> None:
    topology, asking = inquiry(A, B, doubt=False)
    asking.due(0.0)
    slots = [[0, 16383, [b"node", 1, b"id-of-a"]]]
    url = parse("redis+cluster://node:1")
    asking.take(A, understood(url, [slots, b"cluster_state:fail\r\ncluster_current_epoch:7\r\n"], A), 0.01)
    assert not asking.is_over(0.01)
    assert [address for address, _ in asking.due(0.01)] == [B]
    slots[0][2] = [b"node", 2, b"id-of-b"]
    asking.take(B, understood(url, [slots, b"cluster_state:ok\r\ncluster_current_epoch:6\r\n"], B), 0.02)
    asking.conclude(0.02)
    assert (topology.owner(1), topology.epoch, topology.ids[B]) == (B, 6, "id-of-b")


def test_a_user_who_may_not_ask_for_the_state_of_the_cluster_is_served_all_the_same() -> None:
    topology, asking = inquiry(A, doubt=False)
    asking.due(0.0)
    slots = [[0, 16383, [b"", 1, b"id-of-a"]]]
    asking.take(A, understood(parse("redis+cluster://node:1"), [slots, NoPermissionError("NOPERM")], A), 0.01)
    asking.conclude(0.01)
    assert topology.owner(1) == A


def test_who_does_not_answer_at_once_is_not_waited_for() -> None:
    _, asking = inquiry(A, B, C, doubt=False)
    asking.due(0.0)
    assert not asking.due(HEAD_START / 2)
    assert [address for address, _ in asking.due(HEAD_START)] == [B]
    asking.take(B, ConnectionRefusedError("refused"), HEAD_START)
    assert [address for address, _ in asking.due(HEAD_START)] == [C], "who refuses is followed at once"


def test_in_doubt_the_newest_view_counts_and_among_equals_that_of_most() -> None:
    topology, asking = inquiry(A, B, C, D)
    assert len(asking.due(0.0)) == 4
    asking.take(A, says(A, A, epoch=7), 0.0)
    asking.take(B, says(B, B, epoch=8), 0.0)
    asking.take(C, says(C, A, epoch=9, sound=False), 0.0)
    asking.take(D, says(D, B, epoch=8), 0.0)
    assert asking.is_over(0.0)
    asking.conclude(0.0)
    assert topology.owner(1) == B
    assert topology.candidates(1.0) == [B, D, A, C], "whoever knew less is asked last"

    topology, asking = inquiry(A, B, C, D, E)
    asking.due(0.0)
    for by, owner in ((A, A), (B, C), (C, C)):
        asking.take(by, says(by, owner), 0.0)
    assert not asking.is_over(0.0)
    assert asking.is_over(GRACE), "those who are silent are not waited for"
    asking.conclude(GRACE)
    assert topology.owner(1) == C


def test_a_majority_that_agrees_is_enough() -> None:
    _, asking = inquiry(A, B, C)
    asking.due(0.0)
    for by in (B, C):
        asking.take(by, says(by, C), 0.0)
    assert asking.is_over(0.0)


def test_a_node_that_knows_itself_cut_off_does_not_overrule_what_was_known() -> None:
    topology, asking = inquiry(A, B)
    topology.set_slots([(0, 16383, B, "")])
    topology.epoch = 8
    asking.due(0.0)
    asking.take(A, says(A, A, epoch=7, sound=False), 0.0)
    asking.take(B, TimeoutError("silent"), 2.0)
    assert asking.is_over(2.0)
    asking.conclude(2.0)
    assert topology.owner(1) == B
    assert "cut off" in topology.problem
