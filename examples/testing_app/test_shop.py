"""A suite of a hundred tests: what was enqueued, retries, a delay of a day, results, failures. Each has a server for itself.

Run it in this directory: `pytest`, or `pytest -n 2` with pytest-xdist.
"""

from __future__ import annotations

import pytest
import shop

from taskflow import State, TaskFlow
from taskflow.errors import TaskFailed
from taskflow.testing import Clock, Sandbox, WorkerThread, assert_enqueued, assert_nothing_enqueued, drain

NAMES = [f"user{number}" for number in range(20)]
Mails = list[tuple[str, str]]

pytestmark = pytest.mark.taskflow
"""Every test of this module has a sandbox: a private server, empty at its beginning."""


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Mails:
    """What the tasks of a test have sent."""
    sent: Mails = []
    monkeypatch.setattr(shop, "send_mail", lambda to, text: sent.append((to, text)))
    return sent


@pytest.mark.parametrize("name", NAMES)
def test_a_new_user_is_welcomed_and_reminded(name: str) -> None:
    assert_nothing_enqueued()
    shop.sign_up(name)
    assert_enqueued(shop.welcome, name, queue="mail", count=1)
    assert_enqueued(shop.remind, name=name, delay=shop.DAY, count=1)


@pytest.mark.parametrize("name", NAMES)
def test_the_reminder_comes_after_a_day(name: str, mails: Mails, taskflow_clock: Clock) -> None:
    shop.sign_up(name)
    assert drain().names == ["shop.welcome"]
    taskflow_clock.advance(shop.DAY - 60)
    assert not drain()
    taskflow_clock.advance(60)
    assert drain().names == ["shop.remind"]
    assert [to for to, _ in mails] == [name, name]


@pytest.mark.parametrize("order", range(20))
def test_a_bank_that_is_away_is_asked_again(
    order: int, monkeypatch: pytest.MonkeyPatch, taskflow_sandbox: Sandbox
) -> None:
    handle = shop.charge.delay(order)
    assert [one.delay for one in drain(raises=False).retried] == [60]
    assert handle.state is State.RETRY
    monkeypatch.setattr(shop, "ask_bank", lambda order: f"paid {order}")
    taskflow_sandbox.advance(60)
    assert len(drain().succeeded) == 1
    assert handle.get() == f"paid {order}, attempt 2"


@pytest.mark.parametrize("order", range(20))
def test_what_cannot_be_paid_fails_for_good(order: int) -> None:
    refused, given_up = shop.charge.delay(-1 - order), shop.charge.delay(order)
    report = drain(raises=False, with_scheduled=True)
    assert [one.id for one in report.failed] == [refused.id, given_up.id]
    assert len(report.retried) == 3
    with pytest.raises(TaskFailed, match="no such orders"):
        refused.get()
    with pytest.raises(TaskFailed, match=f"no bank for order {order}"):
        given_up.get()


@pytest.mark.parametrize("most", range(14))
def test_a_total_is_the_sum_of_the_prices(most: int) -> None:
    handle = shop.total.delay(list(range(most)))
    drain()
    assert handle.get() == sum(range(most))


@pytest.mark.parametrize("name", NAMES[:4])
def test_a_worker_sees_what_the_test_replaces(name: str, mails: Mails, taskflow_worker: WorkerThread) -> None:
    assert shop.welcome.delay(name).get(10) == f"welcomed {name}"
    assert mails == [(name, "welcome (en)")]


def test_a_real_worker_does_not(taskflow_worker_process: object) -> None:
    assert shop.total.delay([1, 2]).get(20) == 3


def test_without_any_server(taskflow_eager: TaskFlow, mails: Mails) -> None:
    assert shop.welcome.delay("ann", language="nl").get() == "welcomed ann"
    assert mails == [("ann", "welcome (nl)")]
