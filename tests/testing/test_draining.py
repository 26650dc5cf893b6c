"""`drain()` runs what waits, in this process, and says what became of it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from taskflow import State, TaskFlow
from taskflow.errors import ConfigurationError, DuplicateTask, TaskFailed
from taskflow.testing import Sandbox, adrain, advance, drain, enqueued, sandbox
from tests.testing import shop


@pytest.fixture(autouse=True)
def _no_mails() -> None:
    shop.mails.clear()


def test_what_waits_is_run_in_order_with_what_it_enqueues(box: Sandbox) -> None:
    handles = [shop.welcome.delay("ann"), shop.welcome.delay("bob")]
    shop.first.delay("cy")
    ran = drain()
    assert ran.names == [shop.welcome.name, shop.welcome.name, shop.first.name, shop.welcome.name]
    assert [one.get() for one in handles] == ["ANN", "BOB"]
    assert shop.mails == ["ann", "bob", "cy"]
    assert len(ran.succeeded) == 4
    assert not drain()


def test_it_runs_functions_in_this_thread(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(shop, "send", lambda name: seen.append(threading.current_thread()))
    shop.welcome.delay("ann")
    drain()
    assert seen == [threading.current_thread()]


def test_a_failure_is_raised_with_its_task_when_everything_has_run(box: Sandbox) -> None:
    """A test that looks at something else must not pass although its task has failed."""
    shop.charge.options(max_retries=0).delay(5)
    shop.welcome.delay("ann")
    with pytest.raises(ValueError, match="no money: 5") as found:
        drain()
    assert shop.mails == ["ann"]
    assert "tests.testing.shop.charge" in found.value.__notes__[0]
    assert found.traceback[-1].name == "charge"


def test_a_failure_is_reported(box: Sandbox) -> None:
    handle = shop.charge.delay(5)
    report = drain(raises=False)
    (failed,) = report.retried
    assert (failed.task, failed.queue, failed.id, failed.retried) == (
        shop.charge.name,
        "default",
        handle.id,
        0,
    )
    assert isinstance(failed.error, ValueError)
    assert failed.delay > 0
    assert handle.state is State.RETRY
    assert not drain()
    with pytest.raises(TaskFailed, match="no money"):
        drain(raises=False, with_scheduled=True) and handle.get()
    assert handle.info().retried == 2


def test_a_retry_waits_for_its_time(box: Sandbox) -> None:
    handle = shop.again.delay(3600)
    assert [one.delay for one in drain().retried] == [3600]
    assert not drain()
    advance(3000)
    assert not drain()
    advance(600)
    assert len(drain().succeeded) == 1
    assert handle.get() == "done"


def test_a_retry_without_a_delay_is_run_at_once(box: Sandbox) -> None:
    handle = shop.again.delay(0)
    assert [one.ending for one in drain()] == ["retried", "succeeded"]
    assert handle.get() == "done"


def test_all_retries_are_run_with_what_is_scheduled(box: Sandbox) -> None:
    handle = shop.flaky.delay(3)
    shop.welcome.options(delay=1800).delay("ann")
    report = drain(raises=False, with_scheduled=True)
    assert [one.ending for one in report] == ["retried", "retried", "retried", "succeeded", "succeeded"]
    assert handle.get() == "well"
    assert not enqueued()


def test_a_snooze_is_no_failure(box: Sandbox) -> None:
    shop.later.delay()
    assert [one.delay for one in drain().snoozed] == [3600]


def test_tasks_that_enqueue_each_other_for_ever_are_an_error(box: Sandbox) -> None:
    shop.forever.delay()
    with pytest.raises(AssertionError, match=r"20 attempts.*for ever"):
        drain(limit=20)
    assert len(enqueued(shop.forever)) == 1


def test_what_no_app_knows_stays_as_it_was(box: Sandbox) -> None:
    shop.app.send("go:handler", queue="reports", user_id=42)
    shop.report.delay(1)
    assert drain().names == [shop.report.name]
    (left,) = enqueued()
    assert (left.task, left.kwargs, left.state, left.info and left.info.recoveries) == (
        "go:handler",
        {"user_id": 42},
        State.PENDING,
        0,
    )


def test_queues_are_drained_alone_and_paused_ones_are_left(box: Sandbox) -> None:
    shop.welcome.delay("ann")
    shop.report.delay(1)
    assert drain(["reports"]).names == [shop.report.name]
    shop.app.inspector.pause("default")
    assert not drain()
    shop.app.inspector.resume("default")
    assert drain().names == [shop.welcome.name]


def test_what_expired_is_not_run(box: Sandbox) -> None:
    shop.welcome.options(expires=60).delay("ann")
    advance(61)
    assert [one.task for one in drain().expired] == [shop.welcome.name]
    assert shop.mails == []


def test_a_lock_is_held_until_the_task_has_run(box: Sandbox) -> None:
    shop.once.delay("a")
    with pytest.raises(DuplicateTask):
        shop.once.delay("a")
    drain()
    shop.once.delay("a")
    advance(601)
    shop.once.delay("a")
    assert len(drain()) == 2


def test_coroutines_run_on_the_loop_of_the_test(box: Sandbox) -> None:
    loops: list[object] = []
    app = TaskFlow("of a test", retention=60)

    @app.task
    async def where() -> None:
        loops.append(asyncio.get_running_loop())

    async def test() -> None:
        await where.adelay()
        shop.welcome.delay("ann")
        assert len(await adrain()) == 2
        where.delay()
        drain()
        assert loops[0] is asyncio.get_running_loop()
        assert loops[1] is not asyncio.get_running_loop()

    asyncio.run(test())
    where.delay()
    drain()
    assert len(loops) == 3


def test_what_ends_a_test_gets_out_of_a_task_which_waits_again(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        pytest.fail("from inside")

    monkeypatch.setattr(shop, "send", fail)
    shop.welcome.delay("ann")
    with pytest.raises(pytest.fail.Exception, match="from inside"):
        drain()
    monkeypatch.undo()
    assert drain().names == [shop.welcome.name]


def test_an_app_with_keys_has_its_tasks_run(box: Sandbox) -> None:
    keys = {"signing_keys": ["s" * 16], "encryption_keys": ["e" * 16]}
    app = TaskFlow("secret", retention=60, **keys)  # type: ignore[arg-type]

    @app.task
    def whisper(word: str) -> str:
        return word

    handle = whisper.delay("psst")
    assert enqueued(whisper)[0].kwargs == {"word": "psst"}
    drain()
    assert handle.get() == "psst"


def test_outside_of_a_sandbox_it_runs_nothing() -> None:
    """It would run the tasks of whatever server the app is configured for."""
    with pytest.raises(ConfigurationError, match="there is no sandbox"):
        drain()


def test_in_eager_mode_there_is_nothing_to_drain() -> None:
    with sandbox("eager"), pytest.raises(ValueError, match="in eager mode"):
        drain()
