"""The default admin site, and another one with a page of the project's own."""

import json

from django.conf import settings
from django.contrib import admin
from django.http import JsonResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from taskflow.contrib.django.admin_models import Task
from taskflow.contrib.django.admin_pages.register import register
from taskflow.contrib.django.admin_pages.tasks import TaskAdmin


class OfSupport(TaskAdmin):
    """Support may look, whatever its permissions are, and delete nothing."""

    orders = tuple(order for order in TaskAdmin.orders if order.name != "delete")

    def has_view_permission(self, request, obj=None):
        return request.user.is_staff


support = admin.AdminSite(name="support")
support.register(Task, OfSupport)

second = admin.AdminSite(name="second")
register(second)

_used = None


@csrf_exempt
def use(request):
    """Take another TASKFLOW from now on."""
    global _used
    if _used is not None:
        _used.disable()
        _used = None
    if other := json.loads(request.body):
        _used = override_settings(TASKFLOW={**settings.TASKFLOW, **other})
        _used.enable()
    return JsonResponse({})


urlpatterns = [
    path("", lambda request: JsonResponse({})),
    path("use/", use),
    path("admin/", admin.site.urls),
    path("support/", support.urls),
    path("second/", second.urls),
]
