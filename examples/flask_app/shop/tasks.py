"""The tasks: shared, so that they belong to whatever application the factory makes."""

from taskflow import shared_task

from .extensions import db
from .models import Order

PRICES = {"apple": 40, "melon": 250}


@shared_task(queue="orders", max_retries=5)
def price(order_id: int) -> int:
    """The application's context is here, so its session is; it is removed after the task, whether that returns or raises."""
    order = db.session.get_one(Order, order_id)
    order.total = PRICES[order.product] * order.quantity
    db.session.commit()
    return order.total
