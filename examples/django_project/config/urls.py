"""The URLs."""

from django.urls import path
from shop import views

urlpatterns = [
    path("orders/", views.create),
    path("orders/<int:order_id>/tasks/<uuid:task_id>/", views.show, name="show"),
]
