"""The views: each writes a row and enqueues a task that reads it."""

from asgiref.sync import sync_to_async
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from .models import Order
from .tasks import price


@csrf_exempt
def create(request: HttpRequest) -> JsonResponse:
    """In a transaction that fails when it is told to."""
    try:
        with transaction.atomic():
            order = Order.objects.create(product=request.POST["product"])
            task = order.ask_for_price()
            if "fail" in request.POST:
                raise ValueError
    except ValueError:
        return JsonResponse({"task": task}, status=400)
    return JsonResponse({"task": task, "order": order.pk})


@csrf_exempt
async def acreate(request: HttpRequest) -> JsonResponse:
    """The row in a thread, the call from the event loop."""
    order = await sync_to_async(Order.objects.create)(product=request.POST["product"])
    handle = await price.adelay_on_commit(order.pk)
    return JsonResponse({"task": handle.id, "order": order.pk})
