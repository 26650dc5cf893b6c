"""How much of a call's time one node gets."""

from __future__ import annotations

from taskflow.connection.settings import topology_of
from taskflow.connection.topology import LAST_TRY, SLOW_PATIENCE, Topology
from taskflow.connection.url import parse

A, B = ("a", 1), ("b", 2)


def cluster() -> Topology:
    topology = Topology([A, B], cluster=True)
    topology.set_slots([(0, 16383, A, "")])
    return topology


def test_no_node_that_may_have_been_replaced_gets_all_of_a_calls_time() -> None:
    """Each call spent three of its five seconds on connecting to the dead owner, and the rest on asking it who the owner is."""
    topology = cluster()
    assert topology.open_deadline(A, deadline=5.0, now=0.0) == 2.5
    topology.missed(A, 0.0)
    assert topology.open_deadline(A, deadline=5.0, now=0.0) == SLOW_PATIENCE
    topology.heard(A)
    assert topology.open_deadline(A, deadline=5.0, now=0.0) == 2.5


def test_a_node_that_is_only_far_away_gets_its_time_in_the_end() -> None:
    """With half a second for each try nobody would ever connect again where a handshake takes a whole one."""
    topology = cluster()
    topology.missed(A, 0.0)
    assert topology.open_deadline(A, deadline=5.0, now=5.0 - LAST_TRY) == 5.0


def test_the_one_server_there_is_gets_all_the_time() -> None:
    topology = topology_of(parse("redis://a:1"))
    topology.missed(A, 0.0)
    assert topology.open_deadline(A, deadline=5.0, now=0.0) == 5.0
    assert not topology.may_have_changed([None], now=1.0)


def test_others_are_asked_before_a_silent_owner_but_not_by_every_caller_at_once() -> None:
    topology = cluster()
    assert not topology.may_have_changed([5], now=1.0)
    topology.missed(A, 1.0)
    assert topology.may_have_changed([5], now=1.0)
    topology.looked_at = 1.0
    assert not topology.may_have_changed([5], now=1.05)
    assert topology.may_have_changed([5], now=1.2)


def test_who_was_silent_is_asked_last_for_a_minute() -> None:
    topology = cluster()
    topology.missed(A, 0.0)
    assert topology.candidates(59.0) == [B, A]
    assert topology.candidates(61.0) == [A, B]


def test_the_names_of_the_url_are_asked_soon_however_many_masters_there_are() -> None:
    """All addresses of a large cluster may have changed: they would be asked in vain before the one name that knows."""
    topology = Topology([("name", 1)], cluster=True)
    topology.set_slots([(number, number, (f"10.0.0.{number}", 1), "") for number in range(100)])
    assert ("name", 1) in topology.candidates(0.0)[:2]


def test_addresses_that_came_and_went_are_forgotten() -> None:
    topology = cluster()
    for number in range(1000):
        topology.missed((f"10.0.0.{number}", 6379), float(number))
    assert len(topology.silent) < 200
    assert len(topology.candidates(1000.0)) == 2


def test_a_request_that_may_go_anywhere_goes_where_somebody_answers() -> None:
    topology = Topology([A, B], cluster=True)
    topology.set_slots([(0, 99, A, ""), (100, 16383, B, "")])
    topology.missed(A, 0.0)
    assert {topology.owner(None) for _ in range(30)} == {B}


def test_only_a_node_with_which_nothing_is_amiss_is_asked_without_a_plan() -> None:
    """Whatever is known against a node, its reply would have to take back; a plan does so."""
    topology = Topology([A, B], cluster=True)
    assert topology.ready(None, 5) is None
    topology.set_slots([(0, 8191, A, ""), (8192, 16383, B, "")])
    assert (topology.ready(None, 5), topology.ready(None, 9000), topology.ready(B, 5)) == (A, B, B)
    for amiss in (topology.missed, topology.doubt, topology.mark_slow):
        amiss(A, 0.0)
        assert (topology.ready(None, 5), topology.ready(A, 9000)) == (None, None)
        assert topology.ready(None, 9000) == B, "its neighbour is none the worse for it"
        topology.heard(A)
        assert topology.ready(None, 5) == A
