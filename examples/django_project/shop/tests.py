"""The project's own tests: no server is needed."""

from decimal import Decimal

from django.test import TestCase

from taskflow.contrib.django.test import TasksMixin

from .models import Order
from .tasks import confirm, price


class OrderTests(TasksMixin, TestCase):
    def test_an_order_is_priced_after_its_commit(self) -> None:
        with self.captured_tasks() as calls:
            answer = self.client.post("/orders/", {"product": "apple", "quantity": 3})
        self.assertEqual(answer.status_code, 202)
        self.assertEqual([call.id for call in calls], [answer.json()["id"]])
        self.assertEqual(calls.of(price)[0].args, (Order.objects.get().pk,))

    def test_nothing_is_enqueued_for_an_order_that_is_refused(self) -> None:
        with self.captured_tasks() as calls:
            self.assertEqual(self.client.post("/orders/", {"product": "melon"}).status_code, 400)
        self.assertEqual(calls, [])

    def test_the_price_and_its_confirmation(self) -> None:
        with self.running_tasks():
            self.client.post("/orders/", {"product": "apple", "quantity": 3})
        order = Order.objects.get()
        self.assertEqual(order.total, Decimal("1.20"))
        self.assertEqual(confirm.apply((order.pk,)).get(), "3 x apple: 1.20")
