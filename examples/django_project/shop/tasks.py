"""The tasks. The worker: taskflow worker -A shop.tasks"""

from decimal import Decimal

from config.taskflow_app import app, with_database  # first: in a worker it sets Django up, which models need

from shop.models import Order

PRICES = {"apple": Decimal("0.40"), "pear": Decimal("0.55")}


@app.task(queue="orders")
@with_database
def price(order_id: int) -> str:
    """Takes the key, not the order: the worker reads the row as it is when the task runs."""
    order = Order.objects.get(pk=order_id)
    order.total = PRICES[order.product] * order.quantity
    order.save(update_fields=["total"])
    return str(order.total)
