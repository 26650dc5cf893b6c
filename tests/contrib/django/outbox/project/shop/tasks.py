from taskflow import shared_task

from .models import Confirmation, Order


@shared_task
def confirm(order: int) -> int:
    Confirmation.objects.create(order=order)
    return Order.objects.get(pk=order).quantity


@shared_task
def note(number: int) -> int:
    return number
