"""A model that enqueues when it is saved, and so imports the tasks, which import the models."""

from django.db import models

from . import tasks


class Order(models.Model):
    product = models.CharField(max_length=20)
    quantity = models.PositiveIntegerField(default=1)
    total = models.IntegerField(null=True)
    task_id = models.CharField(max_length=64, default="")

    def ask_for_price(self) -> str:
        """Have it priced when it is committed, and remember by which task."""
        self.task_id = tasks.price.delay_on_commit(self.pk).id
        self.save(update_fields=["task_id"])
        return self.task_id
