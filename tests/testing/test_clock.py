"""`advance` and `freeze`: what is stored on a test's server ages in milliseconds, and no worker loses what it runs."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from taskflow import State, TaskFlow
from taskflow.errors import ConfigurationError, DuplicateTask, InvalidOption, ResultMissing
from taskflow.testing import (
    Sandbox,
    advance,
    assert_enqueued,
    assert_nothing_enqueued,
    drain,
    enqueued,
    freeze,
    sandbox,
)
from taskflow.testing.clock import _pass
from taskflow.testing.current import here
from taskflow.testing.keyspace import check_queue
from taskflow.testing.servers import servers
from tests.servers import wait_until
from tests.testing import shop


@pytest.fixture(autouse=True)
def _sound(box: Sandbox) -> Any:
    """After each test the queues are as they must be: nothing of what was moved stands where it should not."""
    shop.mails.clear()
    yield
    for queue in shop.app.inspector.queue_names():
        assert not check_queue(servers.broker("server"), queue)


@pytest.mark.parametrize("delay", [2.5, 60, 4000, 86_400, 90 * 86_400])
def test_a_task_is_due_when_its_delay_has_passed_and_not_before(delay: float) -> None:
    """Of what is due in more than an hour the server knows whole seconds only."""
    with freeze() as frozen:
        handle = shop.welcome.options(delay=delay).delay("ann")
        rest = min(delay / 2, 30)
        frozen.advance(delay - rest)
        assert not drain()
        assert handle.state is State.SCHEDULED
        frozen.advance(rest)
        assert handle.state is State.PENDING
        assert len(drain()) == 1


def test_it_is_so_where_time_passes_by_itself_too() -> None:
    """There are minutes between: a test may be slow."""
    handle = shop.welcome.options(delay=86_400).delay("ann")
    advance(86_000)
    assert not drain()
    advance(400)
    assert handle.state is State.PENDING


def test_a_bulk_and_a_moment_are_due_likewise() -> None:
    shop.welcome.options(delay=86_400).map([("ann",), ("bob",)]).raise_for_errors()
    shop.welcome.options(eta=datetime.now(UTC) + timedelta(days=1)).delay("cy")
    advance(timedelta(days=1) - timedelta(minutes=5))
    assert not drain()
    advance(301)
    assert len(drain()) == 3


def test_a_worker_that_runs_takes_what_comes_due_at_once(box: Sandbox) -> None:
    box.worker(shop.app)
    handle = shop.welcome.options(delay=86_400).delay("ann")
    retried = shop.again.delay(7200)
    wait_until(lambda: retried.state is State.RETRY, description="the first attempt has asked for another")
    advance(86_400)
    assert handle.get(20) == "ANN"
    assert retried.get(20) == "done"


def test_what_a_living_worker_runs_stays_its_own(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """It extends its leases, whatever the time is: they must not end because a test's clock was advanced."""
    started, go_on = threading.Event(), threading.Event()

    def send(name: str) -> None:
        shop.mails.append(name)
        started.set()
        assert go_on.wait(30)

    monkeypatch.setattr(shop, "send", send)
    worker = box.worker(shop.app)
    handle = shop.welcome.delay("ann")
    assert started.wait(20)
    advance(3600)
    assert handle.state is State.ACTIVE
    go_on.set()
    assert handle.get(20) == "ANN"
    worker.stop()
    assert shop.mails == ["ann"]


def test_the_lease_of_a_worker_that_is_gone_ends(box: Sandbox) -> None:
    worker = box.worker_process("tests.testing.shop:app", environment={"SHOP_WAITS": "1"})
    handle = shop.welcome.delay("ann")
    wait_until(lambda: handle.state is State.ACTIVE, description="the worker has it")
    worker.kill()
    advance(10)
    assert handle.state is State.ACTIVE
    advance(31)
    assert handle.state is State.PENDING
    assert [one.info.recoveries for one in enqueued() if one.info] == [1]
    assert drain().names == [shop.welcome.name]
    assert handle.get() == "ANN"


def test_results_failures_and_locks_are_kept_for_their_time() -> None:
    done, failed = shop.welcome.delay("ann"), shop.charge.options(max_retries=0).delay(1)
    drain(raises=False)
    shop.once.options(unique=7200).delay("b")
    advance(3000)
    assert done.get() == "ANN"
    with pytest.raises(DuplicateTask):
        shop.once.options(unique=7200).delay("b")
    advance(610)
    with pytest.raises(ResultMissing):
        shop.app.result(done.id, queue="default").get()
    assert failed.state is State.ARCHIVED
    advance(91 * 86_400)
    assert shop.app.inspector.queue("default").archived == 0
    shop.once.delay("b")


@pytest.mark.parametrize("keys", [None, ["k" * 16]], ids=["plain", "signed"])
def test_a_group_is_joined_when_it_is_ripe(keys: list[str] | None) -> None:
    app = TaskFlow("groups", signing_keys=keys)
    joined: list[list[Any]] = []

    @app.task(queue="feed", name="feed:digest")
    def digest(group: str, items: list[Any], seen: list[list[Any]] = joined) -> None:
        seen.append(items)

    @app.task(queue="feed", name="feed:like")
    def like(who: str) -> None: ...

    app.aggregate(digest, grace=60)
    for who in ("ann", "bob"):
        like.options(group="post-1").delay(who)
    assert not drain(["feed"])
    assert_enqueued(like, who="ann")
    advance(61)
    assert drain(["feed"]).names == ["feed:digest"]
    assert [sorted(one["who"] for one in items) for items in joined] == [["ann", "bob"]]


def test_a_follower_that_its_worker_has_left_behind_is_delivered() -> None:
    handle = shop.follow.delay("ann")
    assert drain().names == [shop.follow.name, shop.report.name]
    assert handle.get() == "ann"


def slow(seconds: float) -> None:
    """So much time passes by itself: what is stored is so much nearer, and the clock was looked at so long ago."""
    _pass(here().broker, seconds)
    here().frozen_at = (here().frozen_at or 0.0) - seconds


def test_time_stands_still_in_a_freeze() -> None:
    """However slow the test is: a delay of a minute is over when a minute has been let pass."""
    with freeze() as frozen:
        shop.welcome.options(delay=60).delay("ann")
        shop.welcome.options(delay=86_400).delay("bob")
        shop.again.delay(60)
        slow(70)
        assert drain().names == [shop.again.name]
        slow(70)
        assert not drain()
        frozen.advance(60)
        assert sorted(drain().names) == [shop.again.name, shop.welcome.name]
        frozen.advance(86_400 - 120)
        slow(3600)
        assert not drain()
        frozen.advance(60)
        assert drain().names == [shop.welcome.name]
        assert frozen.advanced_seconds == 86_400
        with pytest.raises(InvalidOption, match="not nested"), freeze():
            pass
    assert_nothing_enqueued()


def test_pythons_own_clock_is_moved_by_those_who_do_that() -> None:
    """time-machine moves what a task reads, `advance` what is stored: together they are a day."""
    seen: list[datetime] = []
    app = TaskFlow("calendar")

    @app.task(name="calendar:note")
    def note() -> None:
        seen.append(datetime.now(UTC))

    began = datetime.now(UTC)
    note.options(delay=86_400).delay()
    advance(86_400)
    with time_machine.travel(began + timedelta(days=1), tick=True):
        drain()
    assert timedelta(days=1) <= seen[0] - began < timedelta(days=1, minutes=5)


def test_the_past_cannot_be_brought_back() -> None:
    with pytest.raises(InvalidOption, match="seconds from 0"):
        advance(-1)


def test_in_eager_mode_and_outside_there_is_no_clock(box: Sandbox) -> None:
    with pytest.raises(ConfigurationError, match="there is a sandbox already"), sandbox("eager"):
        pass
