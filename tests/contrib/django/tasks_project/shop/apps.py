"""Signals are received as Django's documentation has it: connected in `ready()`."""

import os
from pathlib import Path

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        from django.tasks.signals import task_finished, task_started

        task_started.connect(told, dispatch_uid="started")
        task_finished.connect(atold, dispatch_uid="finished")
        task_finished.connect(broken, dispatch_uid="broken")


def note(what, result):
    line = f"{what} {result.id} {result.status} {result.attempts} {len(result.errors)} {result.task.queue_name}\n"
    with Path(os.environ["TOLD"]).open("a") as file:
        file.write(line)


def told(sender, task_result, **kwargs):
    note(f"started {sender.__name__}", task_result)


async def atold(sender, task_result, **kwargs):
    note(f"finished {sender.__name__}", task_result)


def broken(sender, task_result, **kwargs):
    raise RuntimeError("a receiver that raises")
