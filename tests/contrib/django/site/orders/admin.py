"""The admin, which imports a task as well."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from .models import Order
from .tasks import price


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    actions = ["price"]

    def price(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        for order in queryset:
            price.delay_on_commit(order.pk)
