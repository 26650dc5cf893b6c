"""What the tests of the outbox share: a queue of each test's own, and a relay."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

from django.db import connections
from django.test import TransactionTestCase

from shop.tasks import note
from taskflow import State
from taskflow.contrib.django import get_app
from taskflow.contrib.django.models import OutboxRow
from taskflow.contrib.django.outbox.relay import Relay
from taskflow.contrib.django.outbox.setting import outbox_settings
from taskflow.errors import QueueNotFound


class OutboxTest(TransactionTestCase):
    """With real transactions."""

    databases = frozenset({"default", "other"})

    def setUp(self) -> None:
        self.queue = f"q-{uuid.uuid4().hex[:8]}"
        self.note = note.options(queue=self.queue)
        self.relay = self.relay_of("default")

    def relay_of(self, using: str) -> Relay:
        return Relay(get_app(), using, outbox_settings())

    def numbers(self, queue: str = "") -> list[int]:
        """What waits in the queue, in the order in which it will be taken."""
        found: list[int] = []
        for page in itertools.count(1):
            tasks = get_app().inspector.tasks(queue or self.queue, State.PENDING, page=page, size=500).tasks
            found += [json.loads(task.message.payload)["number"] for task in tasks]
            if len(tasks) < 500:
                return found
        raise AssertionError

    def waiting(self, queue: str = "") -> int:
        try:
            return get_app().inspector.queue(queue or self.queue).pending
        except QueueNotFound:
            return 0

    def rows(self, using: str = "default") -> Any:
        return OutboxRow.objects.using(using)

    def is_postgres(self) -> bool:
        return bool(connections["default"].vendor == "postgresql")
