"""The plan decides what to do about every answer; here its steps are carried out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from redis import exceptions as redis_errors
from redis._parsers.base import BaseParser

from taskflow.connection.retry_plan import RetryPlan
from taskflow.connection.steps import Broken, Confirmed, NotSent, Pause, Refresh, Trips
from taskflow.connection.topology import Topology, key_slot
from taskflow.errors import BrokerAuthError, BrokerUnavailable, ScriptError

A, B = ("a", 1), ("b", 2)


@dataclass
class Ask:
    """A request that says how it was sent."""

    name: str = "ask"
    slot: int | None = 5
    node: Any = None
    durable: bool = False
    movable: bool = False

    def wire(self, *, full: bool, resent: bool) -> tuple[Any, ...]:
        return (self.name, full, resent)

    def parse(self, reply: Any) -> Any:
        return ("value", reply)


def error(text: str) -> Exception:
    """The exception that redis-py makes of an error reply."""
    made: Exception = BaseParser.parse_error(text)
    return made


class Play:
    """Runs a plan against a function that answers each trip."""

    def __init__(self, topology: Topology, answer: Callable[[Any, int], Any], timeout: float = 10.0) -> None:
        self.now = 0.0
        self.steps: list[Any] = []
        self.topology = topology
        self.answer = answer
        self.timeout = timeout

    def run(self, *requests: Ask) -> list[Any]:
        steps = RetryPlan(requests, self.topology, self.timeout, lambda: self.now).run()
        reply: Any = None
        trips = 0
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                return list(end.value)
            self.steps.append(step)
            reply = None
            if isinstance(step, Trips):
                reply = [self.answer(trip, trips) for trip in step.trips]
                trips += 1
            elif isinstance(step, Pause):
                self.now += step.seconds


def cluster() -> Topology:
    topology = Topology([A, B], cluster=True)
    topology.set_slots([(0, 99, A, ""), (100, 16383, B, "")])
    return topology


def test_one_trip_per_node_and_values_in_the_order_of_the_requests() -> None:
    play = Play(cluster(), lambda trip, _: [f"{trip.address[0]}{n}" for n, _ in enumerate(trip.wires)])
    values = play.run(Ask(slot=200), Ask(slot=5), Ask(slot=300))
    assert values == [("value", "b0"), ("value", "a0"), ("value", "b1")]
    assert len(play.steps) == 1


def test_a_script_that_the_node_does_not_know_is_sent_with_its_text_and_only_that_one() -> None:
    def answer(trip: Any, turn: int) -> list[Any]:
        return [
            "fine" if wire[1] or wire[0] == "known" else error("NOSCRIPT No matching script.")
            for wire in trip.wires
        ]

    play = Play(cluster(), answer)
    assert play.run(Ask("known"), Ask("new")) == [("value", "fine"), ("value", "fine")]
    assert [wire for trip in play.steps[1].trips for wire in trip.wires] == [("new", True, False)]


def test_follows_a_moved_slot_and_remembers_it() -> None:
    play = Play(cluster(), lambda trip, _: ["here"] if trip.address == B else [error("MOVED 5 b:2")])
    assert play.run(Ask()) == [("value", "here")]
    assert play.topology.owner(5) == B
    assert not [step for step in play.steps if isinstance(step, Pause)]


def test_a_look_that_has_taken_all_the_time_is_followed_by_no_pause() -> None:
    """A limit of 30 s took up to 30.5 s where everybody was silent."""
    play = Play(Topology([A, B], cluster=True), lambda *_: [])
    steps = RetryPlan([Ask()], play.topology, 10.0, lambda: play.now).run()

    def values() -> list[Any]:
        step = next(steps)
        try:
            while True:
                if isinstance(step, Refresh):
                    play.now = min(play.now + 3.0, 10.0)
                elif isinstance(step, Pause):
                    play.now += step.seconds
                step = steps.send(None)
        except StopIteration as end:
            return list(end.value)

    assert isinstance(values()[0], BrokerUnavailable)
    assert play.now == 10.0


@pytest.mark.parametrize(
    ("answers", "most"),
    [({A: "MOVED 5 a:1"}, 1), ({A: "MOVED 5 :1"}, 1), ({A: "MOVED 5 b:2", B: "MOVED 5 a:1"}, 7)],
    ids=["to itself", "to itself, without a host", "in a circle"],
)
def test_nodes_that_send_us_to_themselves_or_in_a_circle_are_asked_last(
    answers: dict[Any, str], most: int
) -> None:
    """A stale node names itself as the owner and refuses the slot: it is no authority on who else is."""
    topology = cluster()

    def answer(trip: Any, _: int) -> list[Any]:
        if topology.generation > 1:
            return ["here"]
        return [error(answers[trip.address])]

    play = Play(topology, answer)
    steps = RetryPlan([Ask()], topology, 10.0, lambda: play.now).run()
    step, trips = next(steps), 0
    while isinstance(step, Trips):
        trips += 1
        step = steps.send([answer(trip, trips) for trip in step.trips])
    assert isinstance(step, Refresh), "it was not followed for ever"
    assert trips <= most
    assert topology.candidates(play.now)[-1] in answers


def test_asks_the_other_node_once_for_a_key_on_its_way() -> None:
    def answer(trip: Any, _: int) -> list[Any]:
        if trip.address == B:
            assert trip.wires[0] == ("ASKING",)
            return ["OK", "here"]
        return [error("ASK 5 b:2")]

    play = Play(cluster(), answer)
    assert play.run(Ask()) == [("value", "here")]
    assert play.topology.owner(5) == A


@pytest.mark.parametrize(
    "text",
    [
        "CLUSTERDOWN The cluster is down",
        "READONLY You can't write against a read only replica.",
        "LOADING Valkey is loading the dataset in memory",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "NOREPLICAS Not enough good replicas to write.",
        "MISCONF Errors writing to the AOF file",
        "MASTERDOWN Link with MASTER is down",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "UNBLOCKED force unblock from blocking operation",
        "BUSY Redis is busy running a script.",
        "INVENTED an error word that nobody has seen yet",
        "ERR READONLY a proxy's words",
        "ERR Script attempted to access a non local key in a cluster node",
    ],
)
def test_waits_out_whatever_may_pass(text: str) -> None:
    play = Play(cluster(), lambda _, turn: [error(text)] if turn < 3 else ["at last"])
    assert play.run(Ask()) == [("value", "at last")]
    assert sum(isinstance(step, Refresh) for step in play.steps) == 3
    # What may have run before is marked as a re-send.
    assert play.steps[-1].trips[0].wires == [("ask", False, True)]


@pytest.mark.parametrize(
    ("broken", "resent"),
    [
        (Broken(ConnectionRefusedError("refused"), sent=False), False),
        (Broken(redis_errors.TimeoutError("late"), sent=True), True),
    ],
)
def test_a_lost_reply_is_sent_again_and_says_so_and_a_refused_connection_is_not_one(
    broken: Broken, resent: bool
) -> None:
    play = Play(cluster(), lambda _, turn: broken if turn == 0 else ["fine"])
    assert play.run(Ask()) == [("value", "fine")]
    assert play.steps[-1].trips[0].wires == [("ask", False, resent)]


def test_gives_up_at_the_deadline_with_what_it_heard_last() -> None:
    play = Play(
        cluster(), lambda *_: Broken(ConnectionRefusedError("Connection refused"), sent=False), timeout=2.0
    )
    (value,) = play.run(Ask())
    assert isinstance(value, BrokerUnavailable)
    assert "Connection refused" in str(value)
    assert play.now <= 2.0


def test_a_node_that_is_away_does_not_hold_the_others_values() -> None:
    def answer(trip: Any, turn: int) -> Any:
        return ["fine"] if trip.address == A else Broken(ConnectionResetError("reset"), sent=True)

    play = Play(cluster(), answer, timeout=1.0)
    first, second = play.run(Ask(slot=5), Ask(slot=200))
    assert first == ("value", "fine")
    assert isinstance(second, BrokerUnavailable)
    assert (
        sum(trip.address == A for step in play.steps if isinstance(step, Trips) for trip in step.trips) == 1
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NOPERM this user has no permissions", BrokerAuthError),
        ("NOAUTH Authentication required.", BrokerAuthError),
        ("WRONGPASS invalid username-password pair", BrokerAuthError),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", ScriptError),
        ("ERR user_script:1: attempt to index a nil value", ScriptError),
        ("CROSSSLOT Keys in request don't hash to the same slot", ScriptError),
    ],
)
def test_does_not_repeat_what_cannot_be_mended(text: str, kind: type[Exception]) -> None:
    play = Play(cluster(), lambda *_: [error(text)])
    (value,) = play.run(Ask())
    assert isinstance(value, kind)
    assert len(play.steps) == 1


def test_redirections_that_go_in_circles_are_slowed_down() -> None:
    play = Play(
        cluster(), lambda trip, _: [error("MOVED 5 b:2" if trip.address == A else "MOVED 5 a:1")], timeout=3.0
    )
    (value,) = play.run(Ask())
    assert isinstance(value, BrokerUnavailable)
    assert sum(isinstance(step, Trips) for step in play.steps) < 150


def test_the_tutorials_queues_have_the_tutorials_slots() -> None:
    slots = {name: key_slot(f"asynq:{{{name}}}:pending") for name in ("images", "webhooks", "notifications")}
    assert slots == {"images": 9450, "webhooks": 4418, "notifications": 16340}


def test_a_durable_write_is_confirmed_down_its_own_connection() -> None:
    play = Play(cluster(), lambda trip, _: ["done", 1])
    assert play.run(Ask(durable=True)) == [Confirmed(("value", "done"), 1)]
    assert [wire[0] for wire in play.steps[0].trips[0].wires] == ["ask", "WAIT"]


def test_one_wait_confirms_a_whole_pipeline_and_leaves_the_others_alone() -> None:
    play = Play(cluster(), lambda trip, _: [*("done" for _ in trip.wires[:-1]), 2])
    values = play.run(Ask(durable=True), Ask(), Ask(durable=True))
    assert values == [Confirmed(("value", "done"), 2), ("value", "done"), Confirmed(("value", "done"), 2)]
    assert sum(wire[0] == "WAIT" for wire in play.steps[0].trips[0].wires) == 1


def test_an_unconfirmed_write_is_written_again_so_that_the_next_wait_has_something_to_wait_for() -> None:
    info = b"role:master\r\nslave0:ip=1,port=2,state=online,offset=5,lag=0\r\n"
    play = Play(cluster(), lambda _, turn: ["done", 0] if turn == 0 else ["done", 0 if turn < 3 else 1, info])
    assert play.run(Ask(durable=True)) == [Confirmed(("value", "done"), 1)]
    wires = [step.trips[0].wires for step in play.steps if isinstance(step, Trips)]
    assert [wire[0] for wire in wires] == [("ask", False, False), *[("ask", False, True)] * 3]
    assert [wire[-1][0] for wire in wires] == ["WAIT", "INFO", "INFO", "INFO"]


def test_a_node_without_replicas_is_told_apart_from_a_slow_replica() -> None:
    info = b"role:master\r\nconnected_slaves:1\r\nslave0:ip=1,port=2,state=wait_bgsave,offset=0,lag=0\r\n"
    play = Play(cluster(), lambda _, turn: ["done", 0] if turn == 0 else ["done", 0, info])
    assert play.run(Ask(durable=True)) == [Confirmed(("value", "done"), 0)]


def test_a_write_that_no_replica_confirms_is_no_success() -> None:
    info = b"slave0:ip=1,port=2,state=online,offset=5,lag=0"
    play = Play(cluster(), lambda _, turn: ["done", 0] if turn == 0 else ["done", 0, info], timeout=2.0)
    (value,) = play.run(Ask(durable=True))
    assert isinstance(value, BrokerUnavailable)
    assert "on no replica" in str(value)


NOBODY = b"role:master\r\nconnected_slaves:0\r\n"
ONLINE = b"role:master\r\nslave0:ip=1,port=2,state=online,offset=5,lag=0\r\n"


def test_a_node_without_replicas_is_not_waited_for_again() -> None:
    """Each durable call after a fail-over cost two WAITs in vain, 1.3 s, until the dead node was back."""
    topology = cluster()
    asked: list[list[str]] = []

    def answer(trip: Any, _: int) -> list[Any]:
        words = [wire[0] for wire in trip.wires]
        asked.append(words)
        return [{"ask": "done", "WAIT": 0, "INFO": NOBODY}[word] for word in words]

    for _ in range(2):
        assert Play(topology, answer).run(Ask(durable=True)) == [Confirmed(("value", "done"), 0)]
    assert asked == [["ask", "WAIT"], ["ask", "WAIT", "INFO"], ["ask", "INFO"]]


def test_a_replica_that_is_back_is_waited_for() -> None:
    topology = cluster()
    topology.alone.add(A)
    answers = iter([["done", ONLINE], ["done", 1, ONLINE]])
    play = Play(topology, lambda *_: next(answers))
    assert play.run(Ask(durable=True)) == [Confirmed(("value", "done"), 1)]
    wires = [step.trips[0].wires for step in play.steps if isinstance(step, Trips)]
    assert [[wire[0] for wire in each] for each in wires] == [["ask", "INFO"], ["ask", "WAIT", "INFO"]]
    assert not topology.alone


def test_a_node_that_took_over_is_asked_at_once_whether_it_has_a_replica() -> None:
    """It has never seen the script, and nobody confirms: one short WAIT, not a long one for each of the two."""
    topology = cluster()

    def answer(trip: Any, turn: int) -> Any:
        if turn == 0:
            topology.set_slots([(0, 16383, B, "")])
            return Broken(redis_errors.ConnectionError("refused"), sent=False)
        words = [wire[0] for wire in trip.wires]
        done = "done" if trip.wires[0][1] else error("NOSCRIPT No matching script.")
        return [{"ask": done, "WAIT": 0, "INFO": NOBODY}[word] for word in words]

    play = Play(topology, answer)
    assert play.run(Ask(durable=True)) == [Confirmed(("value", "done"), 0)]
    waits = [
        wire
        for step in play.steps
        if isinstance(step, Trips)
        for wire in step.trips[0].wires
        if wire[0] == "WAIT"
    ]
    assert waits == [("WAIT", 1, 300), ("WAIT", 1, 300)], "one to the dead node, one to its successor"


def test_the_first_durable_call_on_a_node_that_took_over_waits_for_a_replica_twice_and_shortly() -> None:
    """It has never seen the script, so the first WAIT had nothing to wait for; the next one took 1.0 s after 0.3 s twice."""
    topology = cluster()
    asked: list[list[Any]] = []

    def answer(trip: Any, _: int) -> list[Any]:
        asked.append([wire[0] if wire[0] != "WAIT" else wire for wire in trip.wires])
        done = "done" if trip.wires[0][1] else error("NOSCRIPT No matching script.")
        return [{"ask": done, "WAIT": 0, "INFO": NOBODY}[wire[0]] for wire in trip.wires]

    assert Play(topology, answer).run(Ask(durable=True)) == [Confirmed(("value", "done"), 0)]
    assert asked == [["ask", ("WAIT", 1, 300)], ["ask", ("WAIT", 1, 300), "INFO"]]


def test_a_node_that_broke_off_is_waited_for_again() -> None:
    """It was alone; who knows what it is now. A stopped master that goes on must not pass for one without replica."""
    topology = cluster()
    topology.alone.add(A)
    breaks = Broken(redis_errors.TimeoutError("no answer"), sent=True)
    play = Play(topology, lambda _, turn: breaks if turn == 0 else ["done", 1, ONLINE])
    assert play.run(Ask(durable=True)) == [Confirmed(("value", "done"), 1)]
    wires = [step.trips[0].wires for step in play.steps if isinstance(step, Trips)]
    assert [wire[0] for wire in wires[1]] == ["ask", "WAIT", "INFO"]


def refused(*_: Any) -> Broken:
    return Broken(ConnectionRefusedError("nobody listens"), sent=False)


def test_what_can_go_elsewhere_comes_back_when_its_node_cannot_be_reached_twice() -> None:
    """The second try comes after a look at the topology: a replica may have taken over long ago."""
    play = Play(cluster(), refused)
    (value,) = play.run(Ask(movable=True))
    assert isinstance(value, NotSent)
    assert [type(step) for step in play.steps] == [Trips, Refresh, Pause, Trips]
    assert play.now < 0.1


def test_the_others_of_its_pipeline_go_on_waiting() -> None:
    play = Play(cluster(), lambda trip, turn: refused() if turn < 5 else ["fine"])
    moved, waited = play.run(Ask(movable=True), Ask())
    assert isinstance(moved, NotSent)
    assert waited == ("value", "fine")


def test_what_may_have_reached_a_node_stays_there() -> None:
    """Elsewhere it would perhaps run a second time."""

    def answer(trip: Any, turn: int) -> Any:
        if turn == 0:
            return Broken(TimeoutError("no reply"), sent=True)
        return refused() if turn < 6 else ["fine"]

    play = Play(cluster(), answer)
    assert play.run(Ask(movable=True)) == [("value", "fine")]
    assert play.steps[-1].trips[0].wires == [("ask", False, True)]


@pytest.mark.parametrize("text", ["CLUSTERDOWN Hash slot not served", "MASTERDOWN Link with MASTER is down"])
def test_what_a_node_refused_before_it_ran_may_go_elsewhere(text: str) -> None:
    play = Play(cluster(), lambda *_: [error(text)])
    assert isinstance(play.run(Ask(movable=True))[0], NotSent)


def test_a_script_that_failed_half_way_does_not_go_elsewhere() -> None:
    answers = [error("OOM command not allowed"), refused(), refused(), ["fine"]]
    play = Play(cluster(), lambda _, turn: [answers[turn]] if turn == 0 else answers[turn])
    assert play.run(Ask(movable=True)) == [("value", "fine")]


def test_a_slot_that_nobody_owns_can_be_left() -> None:
    topology = Topology([A], cluster=True)
    topology.set_slots([(100, 16383, A, "")])
    play = Play(topology, lambda trip, _: ["fine"] * len(trip.wires))
    moved, there = play.run(Ask(movable=True), Ask(slot=200))
    assert isinstance(moved, NotSent)
    assert there == ("value", "fine")


def test_a_silent_node_is_avoided_for_a_second_then_one_caller_tries_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topology = cluster()
    play = Play(topology, lambda trip, _: refused() if trip.address == A else ["fine"])
    play.run(Ask(movable=True), Ask(slot=200))
    now = [play.now]
    monkeypatch.setattr("taskflow.connection.topology.time.monotonic", lambda: now[0])
    assert topology.is_avoided(5)
    assert not topology.is_avoided(200)
    now[0] += 1.1
    assert [topology.is_avoided(5) for _ in range(3)] == [False, True, True]
    play.answer = lambda trip, _: ["fine"]
    play.run(Ask())
    assert not topology.is_avoided(5)


def test_what_nobody_owns_is_avoided_once_the_owners_are_known() -> None:
    topology = Topology([A], cluster=True)
    assert not topology.is_avoided(5)
    topology.set_slots([(100, 16383, A, "")])
    assert topology.is_avoided(5)


def test_a_node_that_was_silent_gets_little_time_until_it_is_heard_or_has_long_been_slow() -> None:
    """A stopped master takes connections and never answers: each look at it cost five seconds after the promotion."""
    play = Play(
        cluster(),
        lambda _, turn: Broken(redis_errors.TimeoutError("silence"), sent=True) if turn == 0 else ["done"],
    )
    topology = play.topology
    assert topology.trip_deadline(A, 30.0, now=0.0) == 30.0
    topology.missed(A, 0.0)
    topology.mark_slow(A, 0.0)
    assert topology.trip_deadline(A, 30.0, now=5.0) == 5.5
    assert topology.trip_deadline(A, 5.2, now=5.0) == 5.2
    assert topology.candidates(play.now) == [B, A], "others are asked first who owns what"
    topology.mark_slow(A, 9.0)
    assert topology.trip_deadline(A, 30.0, now=11.0) == 30.0, "slow, and nothing else"
    topology.mark_slow(A, 21.0)
    assert topology.is_slow(A, 22.0)
    topology.heard(A)
    assert not topology.is_slow(A, 22.0)
    assert play.run(Ask()) == [("value", "done")]
    assert not topology.is_slow(A, 0.0), "it was silent, and was heard then"


def test_one_server_always_has_its_usual_time() -> None:
    topology = Topology([A], cluster=False)
    topology.mark_slow(A, 0.0)
    assert topology.trip_deadline(A, 30.0, now=1.0) == 30.0
