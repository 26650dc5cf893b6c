"""The views: one takes an order and enqueues its task, another shows what became of it."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from taskflow.contrib.flask import get_taskflow

from .extensions import db
from .models import Order
from .tasks import PRICES, price

orders = Blueprint("orders", __name__, url_prefix="/orders")


@orders.post("/")
def take() -> ResponseReturnValue:
    product = request.form["product"]
    if product not in PRICES:
        return {"error": f"no {product} today"}, 400
    order = Order(product=product, quantity=int(request.form["quantity"]))
    db.session.add(order)
    db.session.commit()  # before the task is enqueued: a worker may be quick
    task = price.delay(order.id)
    return {
        "order": url_for("orders.show", order_id=order.id),
        "task": url_for("orders.state", task_id=task.id),
    }, 202


@orders.get("/<int:order_id>")
def show(order_id: int) -> ResponseReturnValue:
    order = db.get_or_404(Order, order_id)
    return {"product": order.product, "quantity": order.quantity, "total": order.total}


@orders.get("/tasks/<uuid:task_id>")
def state(task_id: object) -> ResponseReturnValue:
    task = get_taskflow().result(str(task_id), queue="orders")
    found = task.state
    return ({"state": found}, 200) if found is not None else ({"error": "unknown, or no longer kept"}, 404)
