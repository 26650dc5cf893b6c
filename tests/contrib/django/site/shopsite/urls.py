"""The URLs."""

from django.contrib import admin
from django.urls import path
from orders import views

urlpatterns = [
    path("orders/", views.create),
    path("orders/async/", views.acreate),
    path("admin/", admin.site.urls),
]
