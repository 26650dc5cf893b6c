"""The tasks. Django finds them by the name of this module."""

from decimal import Decimal

from django.db import transaction

from taskflow import shared_task

from .models import Order

PRICES = {"apple": Decimal("0.40"), "pear": Decimal("0.55")}


@shared_task
def price(order_id: int) -> Decimal:
    """Takes the key, not the order: the worker reads the row as it is when the task runs."""
    with transaction.atomic():
        order = Order.objects.get(pk=order_id)
        order.total = PRICES[order.product] * order.quantity
        order.save(update_fields=["total"])
        confirm.delay(order.pk)
    return order.total


@shared_task
async def confirm(order_id: int) -> str:
    """A coroutine, with Django's async ORM."""
    order = await Order.objects.aget(pk=order_id)
    return f"{order.quantity} x {order.product}: {order.total}"
