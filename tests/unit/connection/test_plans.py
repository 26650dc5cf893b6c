"""How a connection of one's own is got; the steps are carried out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from redis import exceptions as redis_errors

from taskflow.connection.plans import connecting
from taskflow.connection.steps import Broken, Open, Refresh, Step
from taskflow.connection.topology import Topology
from taskflow.connection.url import parse
from taskflow.errors import BrokerAuthError, BrokerUnavailable

A, B = ("a", 1), ("b", 2)
URL = parse("redis+cluster://a:1,b:2")


class Play:
    """Runs the steps: a refresh gives the slots to `owner`, and a node that is opened answers as `nodes` says."""

    def __init__(self, owner: Any = A, *, known: bool = True) -> None:
        self.topology = Topology([A, B], cluster=True, url=URL)
        self.owner = owner
        self.nodes: dict[Any, Any] = {A: "connection to a", B: "connection to b"}
        self.steps: list[Step] = []
        if known:
            self.topology.set_slots([(0, 16383, A, "")])

    def run(self) -> Any:
        steps = connecting(self.topology, URL, 5, 10.0, lambda: 0.0)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            self.steps.append(step)
            answer = None
            if isinstance(step, Refresh) and self.owner is not None:
                self.topology.set_slots([(0, 16383, self.owner, "")])
            if isinstance(step, Open):
                answer = self.nodes[step.address]


def broken(error: Exception) -> Broken:
    return Broken(error, sent=False)


def test_the_owner_is_connected_to_and_has_been_heard() -> None:
    play = Play()
    assert play.run() == "connection to a"
    assert [type(step) for step in play.steps] == [Open]


def test_whoever_knows_no_owner_asks_first_and_believes_a_single_node() -> None:
    play = Play(B, known=False)
    assert play.run() == "connection to b"
    assert play.steps[0] == Refresh(0, doubt=False)


def test_an_owner_that_was_silent_is_not_tried_before_others_were_asked() -> None:
    play = Play(B)
    play.topology.missed(A, 0.0)
    assert play.run() == "connection to b"
    assert [type(step) for step in play.steps] == [Refresh, Open]


def test_without_an_owner_there_is_no_connection() -> None:
    play = Play(None, known=False)
    with pytest.raises(BrokerUnavailable, match="key slot 5"):
        play.run()


def test_an_owner_that_does_not_answer_is_asked_about_for_the_next_call() -> None:
    play = Play(B)
    play.nodes[A] = broken(redis_errors.TimeoutError("no connection in time"))
    with pytest.raises(BrokerUnavailable, match="no connection in time"):
        play.run()
    assert [type(step) for step in play.steps] == [Open, Refresh]
    assert A in play.topology.silent
    assert play.run() == "connection to b"


def test_a_refusal_is_said_only_if_the_node_is_still_the_owner() -> None:
    """The address of one that was replaced may belong to another server by now."""
    refused = broken(redis_errors.AuthenticationError("WRONGPASS invalid username-password pair"))
    play = Play(A)
    play.nodes[A] = refused
    with pytest.raises(BrokerAuthError):
        play.run()
    play = Play(B)
    play.nodes[A] = refused
    with pytest.raises(BrokerUnavailable) as caught:
        play.run()
    assert not isinstance(caught.value, BrokerAuthError)
