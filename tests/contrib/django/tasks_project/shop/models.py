"""A table."""

from django.db import models


class Order(models.Model):
    """An order."""

    total = models.IntegerField(default=0)
