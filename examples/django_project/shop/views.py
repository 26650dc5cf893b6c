"""The views: one enqueues, another shows what became of it."""

from uuid import UUID

from config.taskflow_app import app
from django.forms import modelform_factory
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from shop.models import Order
from shop.tasks import price

OrderForm = modelform_factory(Order, fields=["product", "quantity"])


@csrf_exempt  # so that curl can try it
@require_POST
def create(request: HttpRequest) -> JsonResponse:
    form = OrderForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    order = form.save()
    # The row is committed by now. Inside transaction.atomic() (or with ATOMIC_REQUESTS) it is not, and a
    # quick worker would not find it: there, transaction.on_commit(partial(price.delay, order.pk)).
    result = price.delay(order.pk)
    where = reverse("show", kwargs={"order_id": order.pk, "task_id": result.id})
    return JsonResponse({"order": order.pk, "id": result.id, "result": where}, status=202)


@require_GET
def show(request: HttpRequest, order_id: int, task_id: UUID) -> JsonResponse:
    order = get_object_or_404(Order, pk=order_id)
    result = app.result(str(task_id), queue=price.queue)
    return JsonResponse({"state": result.state, "total": order.total})
