"""The URLs."""

from django.urls import path
from photos import views

urlpatterns = [
    path("photos/", views.upload),
    path("photos/<int:photo_id>/", views.show, name="show"),
    path("photos/<int:photo_id>/cancel/", views.cancel),
]
