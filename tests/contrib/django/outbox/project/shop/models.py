from django.db import models


class Order(models.Model):
    quantity = models.IntegerField()


class Confirmation(models.Model):
    """Written by the task: how often it has run."""

    order = models.IntegerField()
