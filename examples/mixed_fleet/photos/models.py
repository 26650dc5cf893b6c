"""The models."""

from django.db import models


class Photo(models.Model):
    src = models.CharField(max_length=200)
    thumbnail = models.CharField(max_length=200, blank=True)
    task = models.CharField(max_length=64, blank=True)  # the id of Go's task
