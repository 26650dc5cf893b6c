"""When a child is worn, and how many tasks run at once: both decide without any I/O."""

from __future__ import annotations

from taskflow.worker.children.scale import Scale
from taskflow.worker.children.wear import Memory, Wear, can_tell_memory

MB = 1 << 20


class Grows:
    """A child's memory."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)

    def __call__(self) -> int:
        return self.sizes.pop(0) if len(self.sizes) > 1 else self.sizes[0]


def wear(
    jobs: list[int] | None = None, *, tasks: int = 0, most: int = 0, memory: Grows | None = None
) -> Wear:
    return Wear(jobs if jobs is not None else [], tasks, most * MB, memory or Grows(0))


def test_a_child_is_given_no_more_tasks_than_it_may_have() -> None:
    one = wear(tasks=10)
    assert one.room(40, 4) == 10
    one.given = 8
    assert one.room(40, 4) == 2
    one.given = 10
    assert one.room(40, 4) == 0
    one.look(1.0, ended=0)
    assert "10 tasks" in one.why


def test_a_successor_is_wanted_by_what_runs_while_it_starts() -> None:
    one = wear(tasks=1000)
    one.given = one.ended = 400
    assert not one.ends_within(500)
    assert one.ends_within(600)


def test_over_its_memory_a_child_takes_no_more() -> None:
    one = wear(most=300, memory=Grows(40 * MB, 290 * MB, 301 * MB))
    one.look(1.0, ended=0)
    one.look(2.0, ended=26)
    assert one.room(1, 1) == 1
    one.look(3.0, ended=1)
    assert one.room(1, 1) == 0
    assert "301 MiB" in one.why


def test_an_app_that_is_larger_than_the_mark_still_runs_its_tasks() -> None:
    """One after the other, as with Celery; it would be replaced for ever without having run anything."""
    one = wear(most=100, memory=Grows(150 * MB))
    one.look(1.0, ended=0)
    one.look(2.0, ended=0)
    assert not one.why
    assert one.room(1, 1) == 1
    assert one.is_too_large_itself
    one.look(3.0, ended=1)
    assert one.why


def test_a_child_that_is_large_and_does_not_grow_has_no_successor() -> None:
    one = wear(most=300, memory=Grows(280 * MB))
    one.look(1.0, ended=0)
    one.look(2.0, ended=1000)
    assert not one.ends_within(1e6)


def test_near_its_memory_a_child_gets_nothing_ahead() -> None:
    jobs = [1]
    one = wear(jobs, most=300, memory=Grows(100 * MB, 200 * MB))
    one.look(1.0, ended=0)
    assert one.room(100, 1) == 100
    one.look(2.0, ended=1)
    assert one.room(100, 1) == 0


def test_a_successor_shares_the_slots_with_those_before_it() -> None:
    """With --max-tasks-per-child 1 and tasks of an hour, there would be as many at once as there are tasks."""
    first, second, third = wear([1, 2]), wear([3]), wear([])
    second.before, third.before = first, second
    assert third.room(4, 4) == 1
    first._jobs.clear()  # type: ignore[attr-defined]
    assert third.room(4, 4) == 3


def test_the_memory_of_a_process_is_told_until_it_has_ended() -> None:
    assert can_tell_memory()
    assert Memory(2**22 + 1)() == 0


def test_there_are_more_while_all_are_in_use_and_tasks_wait() -> None:
    scale = Scale(4, 20, up_seconds=0.5, down_seconds=30)
    assert not scale.is_full_for_long(10.0, 4)  # it has just become so
    assert not scale.is_full_for_long(10.3, 4)
    assert scale.is_full_for_long(10.6, 4)
    steps = []
    for now in (10.6, 11.6, 12.6, 13.6):
        if scale.is_full_for_long(now, scale.now):
            scale.grow(now)
        steps.append(scale.now)
    assert steps == [8, 16, 20, 20]


def test_there_are_fewer_when_fewer_have_been_enough_for_long() -> None:
    scale = Scale(4, 20, up_seconds=0.5, down_seconds=30)
    scale.now = 20
    scale.shrink(1.0)
    for now in range(1, 31):
        scale.is_full_for_long(now, 9 if now == 7 else 2)
        assert not scale.shrink(now)
    assert scale.shrink(31.5)
    assert scale.now == 9
    for now in range(32, 62):
        scale.is_full_for_long(now, 2)
    assert scale.shrink(62)
    assert scale.now == 4
    assert not scale.shrink(93)
