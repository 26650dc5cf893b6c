"""The views: one enqueues, another shows what became of it."""

from uuid import UUID

from django.db import transaction
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
    with transaction.atomic():
        order = form.save()
        result = price.delay(order.pk)  # sent after the commit, so a quick worker finds the row
    where = reverse("show", kwargs={"order_id": order.pk, "task_id": result.id})
    return JsonResponse({"order": order.pk, "id": result.id, "result": where}, status=202)


@require_GET
def show(request: HttpRequest, order_id: int, task_id: UUID) -> JsonResponse:
    order = get_object_or_404(Order, pk=order_id)
    result = price.result(str(task_id))
    return JsonResponse({"state": result.state, "total": order.total})
