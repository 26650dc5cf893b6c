"""The app, which imports its tasks when it is ready; the task that it imports at the top needs no model."""

from django.apps import AppConfig
from mail.texts import greet


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        """As people do it for their signals."""
        from . import tasks

        self.tasks = [greet.name, tasks.price.name]
