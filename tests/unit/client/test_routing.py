"""The router chooses partitions; here its steps are carried out by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from taskflow.broker.commands.enqueue import BATCH, NewTask
from taskflow.broker.keys import queue_keys
from taskflow.client.routing import FRESH, KNOWN_TO_ALL, Ask, Placed, Router, Send
from taskflow.connection.steps import NotSent
from taskflow.errors import BrokerUnavailable, DuplicateTask, TaskFlowError, TaskIdConflict
from taskflow.message.ids import new_id
from taskflow.message.task_message import TaskMessage, unique_key
from taskflow.partitions import home, partition_name, partition_names

NAMES = partition_names("images", 6)


@dataclass(frozen=True)
class Done:
    error: TaskFlowError | None = None


DONE = Done()


class Play:
    """Runs routes against functions that answer; it is monotonic second `now`."""

    def __init__(self, count: int = 6) -> None:
        self.now = 1000.0
        self.router = Router({"images": count}, lambda: self.now)
        self.steps: list[Ask | Send] = []
        self.silent: set[str] = set()
        self.numbers: Any = {count: 3600}
        self.listed: Any = 6
        self.held: dict[tuple[str, ...], Any] = {}
        self.send: Callable[[NewTask, bool], Done] = lambda task, movable: DONE

    def run(self, *tasks: NewTask) -> list[Placed[Any]]:
        slots = {queue_keys(name).slot for name in self.silent}
        steps = self.router.route(tasks, slots.__contains__)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return list(end.value)
            self.steps.append(step)
            if isinstance(step, Send):
                answer = [self.send(task, step.movable) for task in step.tasks]
            else:
                answer = [self._answer(request) for request in step.requests]

    def _answer(self, request: Any) -> Any:
        if request.name == "note_partitions":
            return self.numbers
        if request.name == "SADD":
            return self.listed
        return self.held.get(tuple(request.words), "")

    def asked(self, name: str) -> int:
        return sum(
            request.name == name for step in self.steps if isinstance(step, Ask) for request in step.requests
        )


def task(number: int = 0, *, id: str = "", lock: int = 0, group: str = "", **when: float) -> NewTask:
    payload = b'{"number":%d}' % number
    key = unique_key("images", "t", payload) if lock else ""
    message = TaskMessage("t", payload, id or new_id(), "images", unique_key=key, group_key=group, timeout=9)
    new = NewTask(message, lock_seconds=lock, **when)
    new.named = bool(id)
    return new


def queues(placed: Sequence[Placed[Any]]) -> list[str]:
    return [one.task.terms.queue for one in placed]


# --- tasks that may go anywhere -----------------------------------------------------------------------------


def test_single_tasks_take_turns() -> None:
    play = Play()
    assert Counter(queues([play.run(task(n))[0] for n in range(12)])) == dict.fromkeys(NAMES, 2)


def test_a_batch_is_one_script_call_per_partition_and_chunk() -> None:
    placed = Play().run(*(task(n) for n in range(5 * BATCH)))
    names = queues(placed)
    for start in range(0, len(names), BATCH):
        assert len(set(names[start : start + BATCH])) == 1
    assert len(set(names)) == 5


def test_an_id_leads_to_the_partition() -> None:
    """So whoever repeats a task by its id finds what the first call enqueued."""
    for one in Play().run(*(task(n) for n in range(500))):
        assert partition_name("images", home(one.task.id, 6)) == one.task.terms.queue
        message = one.task.message
        assert (message.id, message.queue) == (one.task.id, one.task.terms.queue)


def test_nothing_else_of_a_task_changes() -> None:
    new = task(7, delay=5.0)
    (placed,) = Play().run(new)
    assert placed.task.message.payload == b'{"number":7}'
    assert (placed.task.terms.delay, placed.task.message.timeout) == (5.0, 9)


def test_a_silent_node_is_left_out() -> None:
    play = Play()
    play.silent = {NAMES[2], NAMES[3]}
    assert set(queues([play.run(task(n))[0] for n in range(12)])) == set(NAMES) - play.silent


def test_if_all_nodes_are_silent_one_is_tried_nevertheless() -> None:
    play = Play()
    play.silent = set(NAMES)
    assert play.run(task())[0].outcome is DONE


def test_what_was_not_sent_goes_elsewhere_under_an_id_that_leads_there() -> None:
    play = Play()
    dead = {NAMES[0], NAMES[1], NAMES[5]}
    play.send = lambda one, movable: Done(NotSent("refused")) if one.terms.queue in dead else DONE
    for n in range(12):
        (placed,) = play.run(task(n))
        assert placed.outcome is DONE
        assert placed.task.terms.queue not in dead
        assert partition_name("images", home(placed.task.id, 6)) == placed.task.terms.queue


def test_what_may_have_been_sent_stays() -> None:
    play = Play()
    lost = Done(BrokerUnavailable("no reply"))
    play.send = lambda one, movable: lost
    assert play.run(task())[0].outcome is lost
    assert sum(isinstance(step, Send) for step in play.steps) == 1


def test_when_no_partition_can_be_reached_the_last_try_waits() -> None:
    play = Play()
    waited = Done(BrokerUnavailable("the deadline"))
    play.send = lambda one, movable: Done(NotSent("refused")) if movable else waited
    assert play.run(task())[0].outcome is waited
    sends = [step.movable for step in play.steps if isinstance(step, Send)]
    assert sends == [True] * 6 + [False]


def test_partitions_are_in_the_index_before_they_are_used_and_entered_once() -> None:
    play = Play()
    for n in range(3):
        play.run(task(n))
    assert isinstance(play.steps[0], Ask)
    assert play.steps[0].requests[0].words == ("SADD", "asynq:queues", *NAMES)  # type: ignore[attr-defined]
    assert play.asked("SADD") == 1


def test_an_index_that_cannot_be_reached_keeps_nothing_from_its_way() -> None:
    play = Play()
    play.listed = BrokerUnavailable("away")
    assert play.run(task())[0].outcome is DONE
    play.run(task())
    assert play.asked("SADD") == 1
    play.now += FRESH
    play.run(task())
    assert play.asked("SADD") == 2


# --- tasks that belong to one partition ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "key"),
    [
        (task(1, lock=60), unique_key("images", "t", b'{"number":1}')),
        (task(1, group="digest"), "digest"),
        (task(1, id="order-1"), "order-1"),
        (task(1, id="order-1", lock=60, group="g"), unique_key("images", "t", b'{"number":1}')),
    ],
)
def test_a_key_leads_to_one_partition(new: NewTask, key: str) -> None:
    play = Play()
    for _ in range(3):
        (placed,) = play.run(new)
        assert placed.task.terms.queue == partition_name("images", home(key, 6))
        assert placed.task.id == new.id
    assert [step.movable for step in play.steps if isinstance(step, Send)] == [False] * 3


def test_a_lock_is_on_the_slot_of_its_partition() -> None:
    (placed,) = Play().run(task(3, lock=60))
    name = placed.task.terms.queue
    assert placed.task.lock == unique_key(name, "t", b'{"number":3}') == placed.task.message.unique_key


def test_with_one_number_in_use_nothing_is_looked_for() -> None:
    play = Play()
    for n in range(20):
        play.run(task(n, lock=60))
    assert play.asked("GET") == 0
    assert play.asked("note_partitions") == 1


def test_the_numbers_are_asked_for_again_when_they_are_old_or_a_lock_outlasts_them() -> None:
    play = Play()
    play.run(task(lock=60))
    play.now += FRESH
    play.run(task(lock=60))
    assert play.asked("note_partitions") == 2
    play.run(task(lock=60, delay=10 * 86400.0))
    assert play.asked("note_partitions") == 3


def moving_key(before: int, now: int) -> tuple[NewTask, str, str]:
    """A task with a lock whose home changes, with its partitions before and now."""
    for n in range(1000):
        new = task(n, lock=60)
        if (old := home(new.lock, before)) != (new_home := home(new.lock, now)):
            return new, partition_name("images", old), partition_name("images", new_home)
    raise AssertionError("some key moves")


def lock_in(name: str, new: NewTask) -> tuple[str, str]:
    return "GET", queue_keys(name).lock_like("images", new.lock)


def test_after_growing_a_lock_is_seen_where_it_was_before() -> None:
    play = Play()
    play.numbers = {3: 90000, 6: 60}
    new, before, now = moving_key(3, 6)
    play.held[lock_in(before, new)] = "the-first"
    (placed,) = play.run(new)
    assert isinstance(placed.outcome, DuplicateTask)
    assert (placed.outcome.holder, placed.outcome.queue) == ("the-first", "images")
    play.held.clear()
    assert queues(play.run(new)) == [now]


def test_until_everybody_has_heard_of_a_new_number_the_one_before_it_counts() -> None:
    play = Play()
    play.numbers = {1: 10**9, 3: 90000, 6: 0}
    new, before, now = moving_key(3, 6)
    assert queues(play.run(new)) == [before]
    play.held[lock_in(now, new)] = "somebody"
    assert isinstance(play.run(new)[0].outcome, DuplicateTask)
    play.held.clear()
    play.now += KNOWN_TO_ALL
    play.numbers = {1: 10**9, 3: 90000, 6: int(KNOWN_TO_ALL)}
    assert queues(play.run(new)) == [now]


def test_a_repeated_task_goes_to_where_its_lock_is() -> None:
    """Its first call was sent there: elsewhere it would be a second task."""
    play = Play()
    play.numbers = {3: 90000, 6: 60}
    new, before, _ = moving_key(3, 6)
    play.held[lock_in(before, new)] = new.id
    assert queues(play.run(new)) == [before]


def test_an_id_that_is_taken_where_it_was_before_is_a_conflict() -> None:
    play = Play()
    play.numbers = {1: 90000, 6: 60}
    id = next(f"order-{n}" for n in range(99) if home(f"order-{n}", 6))
    play.held["EXISTS", queue_keys("images").task(id)] = True
    assert isinstance(play.run(task(id=id))[0].outcome, TaskIdConflict)


def test_a_group_moves_without_a_look() -> None:
    play = Play()
    play.numbers = {1: 90000, 6: 60}
    play.run(*(task(n, group=f"g{n}") for n in range(20)))
    assert play.asked("GET") == play.asked("EXISTS") == 0


def test_what_cannot_be_looked_for_is_not_sent() -> None:
    play = Play()
    play.numbers = {3: 90000, 6: 60}
    new, before, _ = moving_key(3, 6)
    play.held[lock_in(before, new)] = BrokerUnavailable("its node is away")
    (placed,) = play.run(new)
    assert isinstance(placed.outcome, BrokerUnavailable)
    assert placed.outcome.task_id == new.id
    assert not any(isinstance(step, Send) for step in play.steps)


def test_numbers_that_were_heard_just_now_will_do_while_they_cannot_be_asked_for() -> None:
    play = Play()
    play.run(task(lock=60))
    play.numbers = BrokerUnavailable("away")
    play.now += FRESH
    assert play.run(task(lock=60))[0].outcome is DONE
    play.now += KNOWN_TO_ALL
    assert isinstance(play.run(task(lock=60))[0].outcome, BrokerUnavailable)


def test_a_batch_keeps_the_order_of_its_outcomes() -> None:
    play = Play()
    new = [task(0), task(1, lock=60), task(2), task(3, group="g"), task(4, id="four")]
    placed = play.run(*new)
    assert [one.task.message.payload for one in placed] == [one.message.payload for one in new]


# --- the usual call, for which nothing has to be asked ------------------------------------------------------


def test_a_usual_call_takes_its_turn_without_a_step() -> None:
    play = Play()
    assert play.router.place(task(), lambda slot: False) is None, "the index of all queues comes first"
    play.run(task())
    steps = len(play.steps)

    placed = [play.router.place(task(number), lambda slot: False) for number in range(12)]

    assert Counter(one.terms.queue for one in placed if one is not None) == dict.fromkeys(NAMES, 2)
    for one in placed:
        assert one is not None
        assert partition_name("images", home(one.id, 6)) == one.terms.queue
    assert len(play.steps) == steps


def test_a_usual_call_avoids_a_silent_node_too() -> None:
    play = Play()
    play.run(task())
    slots = {queue_keys(NAMES[2]).slot, queue_keys(NAMES[3]).slot}

    placed = [play.router.place(task(number), slots.__contains__) for number in range(12)]

    assert {one.terms.queue for one in placed if one is not None} == set(NAMES) - {NAMES[2], NAMES[3]}


@pytest.mark.parametrize("special", [{"id": "mine"}, {"lock": 60}, {"group": "mail"}])
def test_what_belongs_to_one_partition_is_no_usual_call(special: Any) -> None:
    """Its place has to be asked for: another number of partitions may put it elsewhere."""
    play = Play()
    play.run(task())
    assert play.router.place(task(**special), lambda slot: False) is None


def test_a_usual_call_enters_the_partitions_in_the_index_again_after_a_while() -> None:
    play = Play()
    play.run(task())
    play.now += 61
    assert play.router.place(task(), lambda slot: False) is None
    play.run(task())
    assert play.router.place(task(), lambda slot: False) is not None
