"""What tests of a project use: calls that are kept, tasks that run where they are enqueued."""

from __future__ import annotations

from django.db import transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from mail.texts import greet

from orders.models import Order
from orders.tasks import fail, price
from taskflow.contrib.django import get_app
from taskflow.contrib.django.test import TasksMixin, eager_tasks


class Captured(TasksMixin, TestCase):
    """In a `TestCase`, whose transaction is never committed."""

    databases = {"default", "other"}

    def test_calls_are_kept_and_not_sent(self) -> None:
        """Where they go, what with, and what their handles have."""
        with self.captured_tasks() as calls:
            handle = greet.options(queue="mail", headers={"tenant": "7"}).delay("ann")
            price.delay(order=17)

        self.assertEqual([call.task for call in calls], ["mail.texts.greet", "orders.tasks.price"])
        self.assertEqual((calls[0].args, calls[0].queue, calls[0].id), (("ann",), "mail", handle.id))
        self.assertEqual(calls[0].headers, {"tenant": "7"})
        self.assertEqual([call.kwargs for call in calls.of(price)], [{"order": 17}])
        self.assertIsNone(handle.state)

    def test_those_that_wait_for_a_commit_are_kept_as_well_unless_they_were_rolled_back(self) -> None:
        """The view is tested as it is."""
        with self.captured_tasks() as calls:
            self.client.post("/orders/", {"product": "pear"})
            self.client.post("/orders/", {"product": "pear", "fail": "1"})
            with transaction.atomic(using="other"):
                greet.apply_async_on_commit((), {"name": "bob"}, using="other")

        order = Order.objects.get()
        self.assertEqual(
            [(call.task, call.args) for call in calls.of(price)], [("orders.tasks.price", (order.pk,))]
        )
        self.assertEqual([call.id for call in calls.of(price)], [order.task_id])
        self.assertEqual(len(calls.of("mail.texts.greet")), 1)

    def test_kept_calls_can_be_run(self) -> None:
        """One by one, or all."""
        with self.captured_tasks() as calls:
            greet.delay("ann")
            price.delay(Order.objects.create(product="pear", quantity=2).pk)

        self.assertEqual([one.get() for one in calls.run()], ["hello ann", 6])

    async def test_coroutines_are_kept_too(self) -> None:
        """`await task.adelay()`."""
        with self.captured_tasks() as calls:
            await greet.adelay("ann")

        self.assertEqual([call.args for call in calls], [("ann",)])

    def test_tasks_run_where_they_are_enqueued(self) -> None:
        """And those that wait for a commit at the end of the block."""
        with self.running_tasks():
            self.assertEqual(greet.delay("ann").get(), "hello ann")
            self.client.post("/orders/", {"product": "pear"})
            self.assertIsNone(Order.objects.get().total)

        self.assertEqual(Order.objects.get().total, 3)
        self.assertFalse(get_app().eager)

    def test_what_a_task_fails_with_is_raised_unless_it_is_not_wanted(self) -> None:
        """A test that forgets to look is green otherwise."""
        with self.assertRaisesRegex(ValueError, "as it is told"), self.running_tasks():
            fail.options(max_retries=0).delay()
        with self.running_tasks(propagates=False):
            fail.options(max_retries=0).delay()


class CapturedInRealTransactions(TasksMixin, TransactionTestCase):
    """Where the test commits by itself."""

    def test_a_call_is_kept_at_the_commit(self) -> None:
        """Nothing stands in for Django here."""
        with self.captured_tasks() as calls:
            self.client.post("/orders/", {"product": "pear"})
            self.client.post("/orders/", {"product": "pear", "fail": "1"})

        self.assertEqual(len(calls), 1)


@eager_tasks()
class Eager(SimpleTestCase):
    """A class of tests without any database."""

    def test_all_of_its_tasks_run_where_they_are_enqueued(self) -> None:
        """Above a class."""
        self.assertEqual(greet.delay("ann").get(), "hello ann")

    @eager_tasks(propagates=False)
    def test_one_may_be_otherwise(self) -> None:
        """Above a test."""
        self.assertTrue(fail.options(max_retries=0).delay().failed())
