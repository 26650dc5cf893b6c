"""Calls and transactions: what is sent when, of which database."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.db import connections, transaction
from django.test import TestCase, TransactionTestCase, override_settings
from mail.tasks import count

from orders.models import Order
from orders.tasks import price, which
from taskflow.contrib.django import app, get_app
from taskflow.errors import BrokerUnavailable, ConfigurationError, InvalidOption, ResultMissing


def settings(**keys: object) -> Any:
    """The project's `TASKFLOW` with other keys."""
    return override_settings(TASKFLOW={**django_settings.TASKFLOW, **keys})


def is_sent(handle: Any) -> bool:
    """Whether the queue knows the task."""
    return handle.state is not None


class Commits(TransactionTestCase):
    """In real transactions, of two databases."""

    databases = {"default", "other"}

    def test_the_handle_is_there_before_the_commit_and_the_task_after_it(self) -> None:
        """Celery gives None: nobody can keep the id with the row that it belongs to."""
        with transaction.atomic():
            order = Order.objects.create(product="pear")
            task_id = order.ask_for_price()
            self.assertIsNone(app.result(task_id).state)

        self.assertEqual(Order.objects.get().task_id, task_id)
        self.assertEqual(app.result(task_id).state, "pending")

    def test_a_rolled_back_transaction_sends_nothing(self) -> None:
        """The row does not exist; whoever looked for it would fail."""
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            handle = price.delay_on_commit(1)
            raise ZeroDivisionError

        self.assertFalse(is_sent(handle))

    def test_what_a_savepoint_took_back_is_not_sent_and_the_rest_is(self) -> None:
        """Django keeps what waits by savepoint."""
        with transaction.atomic():
            first = price.delay_on_commit(1)
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                second = price.options(queue="slow").delay_on_commit(2)
                raise ZeroDivisionError
            with transaction.atomic():
                third = price.apply_async_on_commit((3,), {}, queue="slow")

        self.assertEqual([is_sent(one) for one in (first, second, third)], [True, False, True])

    def test_a_committed_transaction_sends_once(self) -> None:
        """Also where the block is one of several."""
        with transaction.atomic(), transaction.atomic(), transaction.atomic():
            handle = which.options(queue="once").delay_on_commit()

        self.assertEqual(app.inspector.queue("once").pending, 1)
        self.assertTrue(is_sent(handle))

    def test_without_a_transaction_a_call_is_sent_at_once(self) -> None:
        """So it is in Django's `on_commit`."""
        self.assertTrue(is_sent(price.delay_on_commit(1)))
        self.assertTrue(is_sent(price.apply_async_on_commit((1,), using="other")))

    def test_a_call_waits_for_the_database_that_it_names(self) -> None:
        """The default one is committed, and the other one is not yet."""
        with transaction.atomic(using="other"):
            with transaction.atomic():
                other = price.apply_async_on_commit((1,), using="other")
                default = price.apply_async_on_commit((1,), using="default")
            self.assertEqual([is_sent(other), is_sent(default)], [False, True])
        self.assertTrue(is_sent(other))

    def test_a_call_waits_for_the_only_database_that_has_a_transaction(self) -> None:
        """Django's own would look at the default one, which has none, and send at once."""
        with self.assertRaises(ZeroDivisionError), transaction.atomic(using="other"):
            handle = price.delay_on_commit(1)
            raise ZeroDivisionError

        self.assertFalse(is_sent(handle))

    def test_a_database_that_there_is_not_is_refused_where_it_is_written(self) -> None:
        """Django would say it by a KeyError."""
        with self.assertRaisesRegex(InvalidOption, "'default', 'other'"):
            price.apply_async_on_commit((1,), using="third")

    def test_with_the_setting_a_plain_call_waits_too(self) -> None:
        """`ENQUEUE_ON_COMMIT`: nobody has to think of it."""
        with settings(ENQUEUE_ON_COMMIT=True):
            with transaction.atomic():
                handles = [price.delay(1), price.apply_async((1,)), app.send("orders.tasks.price", 1)]
                self.assertEqual([is_sent(one) for one in handles], [False] * 3)
            self.assertEqual([is_sent(one) for one in handles], [True] * 3)
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                handle = price.delay(1)
                raise ZeroDivisionError
            self.assertFalse(is_sent(handle))
            self.assertTrue(is_sent(price.delay(1)))

    def test_without_the_setting_a_plain_call_does_not_wait(self) -> None:
        """As in Celery, and everywhere else."""
        with transaction.atomic():
            self.assertTrue(is_sent(price.delay(1)))

    def test_a_batch_in_a_transaction_waits_and_a_map_says_what_to_write(self) -> None:
        """What a map sends it sends at once."""
        with settings(ENQUEUE_ON_COMMIT=True):
            with transaction.atomic():
                with app.batch():
                    handle = price.delay(1)
                self.assertFalse(is_sent(handle))
                with self.assertRaisesRegex(ConfigurationError, "transaction.on_commit"):
                    price.map([(1,), (2,)])
            self.assertTrue(is_sent(handle))
            self.assertEqual(len(price.map([(1,), (2,)])), 2)

    def test_arguments_are_checked_at_the_call_and_not_after_the_commit(self) -> None:
        """There nobody could do anything about them any more."""
        with self.assertRaises(TypeError), transaction.atomic():
            price.delay_on_commit("pear", 17, colour="red")

    def test_a_broker_that_is_away_is_an_error_or_with_the_setting_a_line_in_the_log(self) -> None:
        """By default whoever commits is told; the id makes a repetition safe."""
        away = {"BROKER": "redis://127.0.0.1:1", "ENQUEUE_TIMEOUT": 0.05}
        ran: list[int] = []
        with settings(**away):
            with self.assertRaises(BrokerUnavailable) as raised, transaction.atomic():
                handle = price.delay_on_commit(1)
            self.assertEqual(raised.exception.task_id, handle.id)
        with settings(**away, ON_COMMIT_ROBUST=True):
            with self.assertLogs("django", "ERROR") as log, transaction.atomic():
                price.delay_on_commit(1)
                transaction.on_commit(lambda: ran.append(1))
            self.assertIn("orders.tasks.price.delay", log.output[0])
        self.assertEqual(ran, [1])

    def test_in_eager_mode_a_task_runs_at_the_commit(self) -> None:
        """As it would be in a worker: it finds the row."""
        with settings(EAGER=True, EAGER_PROPAGATES=True):
            with transaction.atomic():
                order = Order.objects.create(product="pear", quantity=2)
                handle = price.delay_on_commit(order.pk)
                with self.assertRaises(ResultMissing):
                    handle.get()
            self.assertEqual(handle.get(), 6)
        order.refresh_from_db()
        self.assertEqual(order.total, 6)

    def test_a_coroutine_waits_for_the_transaction_of_its_synchronous_part(self) -> None:
        """It is in another thread, and that is where a coroutine's database is."""

        async def main() -> list[bool]:
            block = transaction.atomic()
            await sync_to_async(block.__enter__)()
            handles = [await count.adelay_on_commit(), await price.aapply_async_on_commit((1,))]
            before = [is_sent(one) for one in handles]
            await sync_to_async(block.__exit__)(None, None, None)
            await sync_to_async(connections.close_all)()
            return before + [is_sent(one) for one in handles]

        self.assertEqual(asyncio.run(main()), [False, False, True, True])

    def test_a_view_in_a_transaction_and_one_that_is_a_coroutine(self) -> None:
        """Both return the id of a task that the queue has by then; a failed one of a task that there never was."""
        done = self.client.post("/orders/", {"product": "pear"}).json()
        failed = self.client.post("/orders/", {"product": "pear", "fail": "1"}).json()
        later = self.client.post("/orders/async/", {"product": "pear"}).json()

        states = [app.result(one["task"]).state for one in (done, failed, later)]
        self.assertEqual(states, ["pending", None, "pending"])


class InATestsOwnTransaction(TestCase):
    """A `TestCase` never commits."""

    def test_djangos_own_helper_sends_what_waits(self) -> None:
        """`captureOnCommitCallbacks(execute=True)`, which people know."""
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            handle = price.delay_on_commit(1)
            self.assertFalse(is_sent(handle))

        self.assertEqual(len(callbacks), 1)
        self.assertTrue(is_sent(handle))

    async def test_a_coroutine_is_in_the_tests_transaction_as_well(self) -> None:
        """Its connections are those of the test's thread."""
        handle = await price.adelay_on_commit(1)

        self.assertIsNone(await handle.astate())

    def test_the_app_is_the_one_of_the_module(self) -> None:
        """`app` and `get_app()` are two ways to write it."""
        self.assertIs(get_app(), app)
