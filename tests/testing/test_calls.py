"""What was enqueued, decoded, and what assertions about it say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest import mock

import pytest

from taskflow import State, TaskFlow
from taskflow.errors import InvalidOption
from taskflow.testing import Sandbox, assert_enqueued, assert_nothing_enqueued, drain, enqueued
from tests.testing import shop

pytestmark = pytest.mark.usefixtures("box")


def test_arguments_are_found_as_the_task_gets_them() -> None:
    shop.welcome.delay("ann", on=date(2026, 11, 30))
    (one,) = enqueued(shop.welcome)
    assert one.kwargs == {"name": "ann", "on": date(2026, 11, 30)}
    assert (one.queue, one.state, one.at, one.retried) == ("default", State.PENDING, None, 0)
    assert str(one).startswith(
        "tests.testing.shop.welcome(name='ann', on=datetime.date(2026, 11, 30)) in queue default"
    )


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("ann",), {}),
        ((), {"name": "ann"}),
        ((), {"lang": "nl"}),
        (("ann", "nl"), {"on": date(2026, 11, 30)}),
        (("ann",), {"on": "2026-11-30"}),
        ((mock.ANY,), {"lang": mock.ANY}),
        ((mock.call("ann", lang="nl"),), {}),
    ],
)
def test_a_call_fits_by_the_arguments_that_are_given(
    args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    shop.welcome.delay("ann", lang="nl", on=date(2026, 11, 30))
    assert len(assert_enqueued(shop.welcome, *args, **kwargs)) == 1  # type: ignore[arg-type]


def test_what_does_not_fit_is_told_with_what_there_is() -> None:
    shop.welcome.options(delay=3600).delay("ann")
    for args, words in (
        (("bob",), {}),
        (("ann",), {"queue": "mail"}),
        (("ann",), {"delay": 60}),
        (("ann",), {"delay": 0}),
        (("ann",), {"count": 2}),
        (("ann", "en"), {}),
    ):
        with pytest.raises(
            AssertionError,
            match=r"these do:\s+tests.testing.shop.welcome\(name='ann'\) in queue",
        ):
            assert_enqueued(shop.welcome, *args, **words)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=r"no call tests.testing.shop.report\(\) waits to be run"):
        assert_enqueued(shop.report)
    with pytest.raises(AssertionError, match="nothing was to wait"):
        assert_nothing_enqueued()


def test_when_it_may_run_is_compared() -> None:
    eta = datetime.now(UTC) + timedelta(days=2)
    shop.welcome.options(eta=eta).delay("ann")
    shop.welcome.options(delay=timedelta(hours=1)).delay("bob")
    shop.report.delay(1)
    assert_enqueued(shop.welcome, "ann", at=eta)
    assert_enqueued(shop.welcome, "ann", delay=timedelta(days=2))
    assert_enqueued(shop.welcome, "bob", delay=3600, count=1)
    assert_enqueued(shop.report, delay=0)
    assert_enqueued(shop.welcome, count=2)
    assert_enqueued(shop.report, count=1)
    assert_enqueued(shop.welcome, "cy", count=0)


def test_handlers_in_go_are_known_by_their_names() -> None:
    shop.app.send("image:resize", queue="images", src="a.png", width=80)
    assert_enqueued("image:resize", src="a.png", queue="images")
    assert_enqueued("email:deliver", count=0)
    assert_nothing_enqueued("email:deliver")
    assert_nothing_enqueued(queue="default")
    with pytest.raises(InvalidOption, match="give them by name"):
        assert_enqueued("image:resize", "a.png")
    with pytest.raises(InvalidOption, match="is no task"):
        assert_enqueued(len)


def test_arguments_whose_names_are_taken_are_given_as_a_call() -> None:
    """`count=2` may mean two calls, or the task's own argument: a test must not pass by the wrong one."""
    shop.deliver.delay("urgent", 2)
    with pytest.raises(InvalidOption, match=r"has an argument `count`.*mock\.call\(count=\.\.\.\)"):
        assert_enqueued(shop.deliver, count=2)
    assert_enqueued(shop.deliver, mock.call("urgent", count=2), count=1, queue="mail")
    with pytest.raises(AssertionError):
        assert_enqueued(shop.deliver, mock.call(count=1))
    assert_enqueued("email:deliver", "urgent", queue="mail")


def test_what_is_to_be_retried_waits_too_and_what_has_run_does_not() -> None:
    shop.charge.delay(5)
    shop.welcome.delay("ann")
    drain(raises=False)
    (left,) = enqueued()
    assert (left.task, left.state, left.retried) == (shop.charge.name, State.RETRY, 1)
    assert 0 < left.delay < 3600


def test_a_queue_with_partitions_is_one(box: Sandbox) -> None:
    app = TaskFlow("wide", queues={"wide": {"partitions": 3}})

    @app.task(queue="wide", name="wide:count")
    def count(number: int) -> None: ...

    for number in range(10):
        count.delay(number)
    assert_enqueued("wide:count", queue="wide", count=10)
    assert len(drain()) == 10


@dataclass(frozen=True)
class OfDjango:
    """What `django.tasks` makes of a function, as far as a test can be given it; Django 6 needs a newer Python."""

    func: Any
    takes_context: bool = False

    @property
    def module_path(self) -> str:
        return f"shop.tasks.{self.func.__name__}"


def test_a_task_of_django_is_known_by_its_path_and_its_arguments_by_their_names(box: Sandbox) -> None:
    """Its message holds `args` and `kwargs` as they were given. Once nothing was found, and `assert_nothing_enqueued` passed."""

    def add(a: int, b: int = 0) -> int:
        return a + b

    def told(context: Any, text: str) -> str:
        return text

    app = box.app()
    app.send("shop.tasks.add", args=[1], kwargs={"b": 2})
    app.send("shop.tasks.told", args=["x"], kwargs={})
    task, with_context = OfDjango(add), OfDjango(told, takes_context=True)
    for given in (mock.call(1, b=2), mock.call(1, 2), mock.call(a=1), mock.call()):
        assert len(assert_enqueued(task, *given.args, count=1, **given.kwargs)) == 1
    assert_enqueued(with_context, "x")
    assert_enqueued("shop.tasks.add", kwargs={"b": 2})
    assert [one.task for one in enqueued(task)] == ["shop.tasks.add"]
    for wrong in (mock.call(2), mock.call(1, b=3)):
        with pytest.raises(AssertionError, match=r"no call shop\.tasks\.add"):
            assert_enqueued(task, *wrong.args, **wrong.kwargs)
    with pytest.raises(AssertionError, match="nothing was to wait"):
        assert_nothing_enqueued(task)
    with pytest.raises(InvalidOption, match=r"shop\.tasks\.add.*unexpected keyword argument 'c'"):
        assert_enqueued(task, c=1)
