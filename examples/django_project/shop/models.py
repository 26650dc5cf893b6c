"""The models."""

from django.db import models


class Order(models.Model):
    product = models.CharField(max_length=10, choices=[("apple", "Apple"), ("pear", "Pear")])
    quantity = models.PositiveIntegerField()
    total = models.DecimalField(max_digits=12, decimal_places=2, null=True)
