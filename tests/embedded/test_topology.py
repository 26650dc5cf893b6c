"""What nodes say, read without a server."""

from __future__ import annotations

import pytest

from taskflow.embedded.serverconf import quote
from taskflow.embedded.topology import Probe, missing, newest_view, parse_nodes, slot_ranges

A, B = "a" * 40, "b" * 40
MASTER = (
    f"{A} 127.0.0.1:7000@17000,,tls-port=0,shard-id=0 myself,master - 0 0 1 connected 0-5460 7000 [7-<-{B}]"
)
REPLICA = f"{B} 127.0.0.1:7003@17003 slave,fail? {A} 5 7 1 disconnected"
TEXT = f"{MASTER}\n{REPLICA}\nvars currentEpoch 6 lastVoteEpoch 0\n"


def test_the_lines_of_a_cluster_are_read() -> None:
    master, replica = parse_nodes(TEXT)
    assert (master.node_id, master.port, master.role, master.master_id) == (A, 7000, "master", "")
    assert master.slots == "0-5460 7000"
    assert (replica.node_id, replica.port, replica.role, replica.master_id) == (B, 7003, "replica", A)
    assert replica.link == "disconnected"


def test_the_newest_view_knows_of_the_last_failover() -> None:
    old = parse_nodes(TEXT)
    new = parse_nodes(TEXT.replace("- 0 0 1 connected", "- 0 0 9 connected"))
    assert (
        newest_view([Probe(0, None, "down"), Probe(1, 2, "up", view=old), Probe(2, 3, "up", view=new)]) == new
    )
    assert newest_view([Probe(0, None, "down")]) == ()


@pytest.mark.parametrize("masters", [3, 4, 10])
def test_every_slot_is_dealt_once(masters: int) -> None:
    ranges = slot_ranges(masters)
    assert [slot for first, last in ranges for slot in range(first, last + 1)] == list(range(16_384))


def _pair(**second: object) -> list[Probe]:
    well = f"{A} h:1@2 myself,master - 0 0 1 connected 0-16383\n{B} h:2@3 slave {A} 0 0 1 connected\n"
    view = parse_nodes(well)
    facts: dict[str, object] = {"state": "ok", "slots_ok": 16_384, "in_sync": True}
    facts["view"] = parse_nodes(well.replace("myself,", "").replace("slave", "myself,slave"))
    first = Probe(0, 1, "up", state="ok", slots_ok=16_384, view=view)
    return [first, Probe(1, 2, "up", **(facts | second))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({}, None),
        ({"state": "fail"}, "node 1 says that the cluster's state is 'fail'"),
        ({"slots_ok": 10_923}, "node 1 sees 10923 of 16384 slots served"),
        ({"in_sync": False}, "node 1 has not copied"),
        ({"view": parse_nodes(f"{B} h:2@3 myself,slave {A} 0 0 1 connected")}, "no contact with 1"),
    ],
)
def test_a_cluster_is_ready_when_nothing_is_missing(second: dict[str, object], words: str | None) -> None:
    lack = missing(_pair(**second))
    assert (lack is None) if words is None else (lack is not None and words in lack)


def test_nodes_that_do_not_answer_are_named() -> None:
    up, down, silent = Probe(0, 1, "up"), Probe(1, None, "down"), Probe(2, 3, "silent")
    assert missing([up, down, silent]) == "not running: node 1"
    assert missing([up, up, silent]) == "running, but not answering: node 2"
    assert missing([down, down]) == "not running"
    assert missing([up]) is None
    assert missing([]) is None


@pytest.mark.parametrize("text", ["plain", 'a "b" c', "back\\slash", "new\nline", "ünï"])
def test_a_word_of_the_configuration_is_one_line(text: str) -> None:
    quoted = quote(text)
    assert "\n" not in quoted
    assert quoted.startswith('"')
    assert quoted.endswith('"')
