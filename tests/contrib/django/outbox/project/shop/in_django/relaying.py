"""The relay: each row is delivered once, in its order, whatever happens to it and to others."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any
from unittest import mock

import redis
from django.conf import settings
from django.db import OperationalError, connections, transaction
from django.db.models import F

from shop.tasks import note
from taskflow import Delivery
from taskflow.contrib.django import get_app
from taskflow.contrib.django.models import OutboxRow
from taskflow.contrib.django.outbox.relay import Relay
from taskflow.contrib.django.outbox.status import outbox_status
from taskflow.errors import BrokerUnavailable

from .base import OutboxTest


class Died(BaseException):
    """The process ends here."""


class Once(OutboxTest):
    def test_a_relay_that_dies_after_the_delivery_delivers_nothing_twice(self) -> None:
        """Also where the tasks have run by then, and have left nothing."""
        self.note.map([(n,) for n in range(30)])
        with mock.patch.object(Relay, "_settle", side_effect=Died), self.assertRaises(Died):
            self.relay.round()
        self.assertEqual((self.waiting(), self.rows().count()), (30, 30))
        ids = [task.id for task in get_app().inspector.tasks(self.queue, "pending", size=30).tasks]
        get_app().inspector.delete(self.queue, ids[0])
        self.relay_of("default").drain()
        self.assertEqual((self.waiting(), self.rows().count()), (29, 0))

    def test_several_relays_at_once_deliver_each_row_once(self) -> None:
        count = 600
        self.note.map([(n,) for n in range(count)])
        errors: list[Exception] = []

        def relay() -> None:
            one = Relay(get_app(), "default", mock.Mock(batch=50, notify=False, poll_seconds=0.1))
            try:
                while self.rows().exists():
                    one.round()
            except OperationalError as error:
                if self.is_postgres():  # SQLite may say that it is locked
                    errors.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=relay) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.relay.drain()
        self.assertEqual(errors, [])
        self.assertEqual(Counter(self.numbers()), Counter(range(count)))

    def test_a_delay_counts_from_the_call_on_by_the_databases_clock(self) -> None:
        for seconds in (60, 1000):
            note.options(queue=self.queue, delay=seconds).delay(seconds)
        self.rows().update(created_at=F("created_at") - timedelta(seconds=100))
        self.relay.drain()
        self.assertEqual(self.numbers(), [60])
        (later,) = get_app().inspector.tasks(self.queue, "scheduled").tasks
        self.assertAlmostEqual(later.next_process_at.timestamp(), time.time() + 900, delta=60)

    def test_a_second_unique_call_and_a_second_id_are_dropped_with_a_line(self) -> None:
        for number in (1, 1):
            note.options(queue=self.queue, unique=60).delay(number)
        for number in (2, 3):
            note.options(queue=self.queue, id="mine").delay(number)
        with self.assertLogs("taskflow.outbox", "INFO") as logged:
            self.relay.drain()
        self.assertEqual(self.numbers(), [1, 2])
        self.assertEqual(self.rows().count(), 0)
        self.assertEqual(sum("is dropped" in line for line in logged.output), 2)


class Trouble(OutboxTest):
    def retry_now(self) -> None:
        self.rows().update(retry_at=F("created_at"))
        self.relay._alone_at = 0.0

    def test_a_row_that_nobody_can_read_is_given_up_and_shown_and_stops_nobody(self) -> None:
        for number in range(3):
            self.note.delay(number)
        first, second, _ = self.rows().order_by("id")
        self.rows().filter(id=first.id).update(ready=b"\x01broken")
        self.rows().filter(id=second.id).update(ready=b"\x09" + bytes(second.ready)[1:])
        with self.assertLogs("taskflow.outbox", "ERROR"):
            self.relay.drain()
        self.assertEqual(self.numbers(), [2])
        self.assertEqual(self.rows().exclude(failed_at=None).count(), 2)
        self.assertIn("later release", self.rows().get(id=second.id).error)
        (status, *_) = outbox_status()
        self.assertEqual((status.waiting, status.given_up), (0, 2))
        self.relay.drain()
        self.rows().filter(id=second.id).update(ready=second.ready, failed_at=None)
        self.relay.drain()
        self.assertEqual(self.numbers(), [2, 1])

    def test_a_queue_that_cannot_be_written_waits_and_the_others_go_on(self) -> None:
        """Its key holds something else: a row of it fails however often it is tried, alone or with others."""
        other = note.options(queue=f"{self.queue}-other")
        for number in range(5):
            self.note.delay(number)
            other.delay(number)
        with redis.Redis.from_url(settings.TASKFLOW["BROKER"]) as server:
            server.set(f"asynq:{{{self.queue}}}:pending", "no list")
            with self.assertLogs("taskflow.outbox", "WARNING") as logged:
                self.assertEqual(self.relay.drain(), 5)
                self.relay._away[self.queue].until = 0.0
                self.assertEqual(self.relay.drain(), 5)
            self.assertEqual(self.numbers(f"{self.queue}-other"), list(range(5)))
            self.assertEqual(len(logged.output), 1)
            self.assertEqual(self.rows().filter(attempts=0).count(), 5)
            server.delete(f"asynq:{{{self.queue}}}:pending")
        self.assertEqual(self.relay.drain(), 5)
        self.relay._away[self.queue].until = 0.0
        self.assertEqual(self.relay.drain(), 0)
        self.assertEqual(self.numbers(), list(range(5)))

    def test_a_row_that_alone_cannot_be_delivered_stands_aside(self) -> None:
        """The second of its queue comes through: so it is that row, which is tried alone from then on."""
        for number in range(5):
            self.note.delay(number)
        bad = self.rows().order_by("id").first()
        deliver = type(get_app()).deliver

        def failing(app: Any, tasks: Any, **given: Any) -> list[Delivery]:
            if any(task.id == bad.task_id for task in tasks):
                return [Delivery(False, error=BrokerUnavailable("it closes the connection")) for _ in tasks]
            return deliver(app, tasks, **given)

        with mock.patch.object(type(get_app()), "deliver", failing):
            with self.assertLogs("taskflow.outbox", "WARNING"):
                self.relay.drain()
                self.relay._away[self.queue].until = 0.0
                self.assertEqual(self.relay.drain(), 1)
            self.assertEqual(self.numbers(), [1, 2, 3, 4])
            row = self.rows().get()
            self.assertEqual((row.attempts, row.error), (1, "it closes the connection"))
            self.assertEqual(outbox_status()[0].retrying, 1)
            self.note.delay(5)
            self.relay.drain()
            self.assertEqual(self.numbers(), [1, 2, 3, 4, 5])
            self.rows().update(attempts=5000)
            self.retry_now()
            with self.assertLogs("taskflow.outbox", "WARNING"):
                self.relay.drain()
            self.assertEqual(self.rows().get().attempts, 5001)
        self.retry_now()
        self.relay.drain()
        self.assertEqual(self.numbers(), [1, 2, 3, 4, 5, 0])

    def test_a_queue_that_is_back_between_two_tries_keeps_its_order(self) -> None:
        """It was not the first row's fault that it met a node that was away, and the second did not."""
        for number in range(3):
            self.note.delay(number)
        deliver = type(get_app()).deliver
        away = [2]  # the first delivery, and the first probe

        def failing(app: Any, tasks: Any, **given: Any) -> list[Delivery]:
            if away[0]:
                away[0] -= 1
                return [Delivery(False, error=BrokerUnavailable("it is away")) for _ in tasks]
            return deliver(app, tasks, **given)

        with mock.patch.object(type(get_app()), "deliver", failing):
            with self.assertLogs("taskflow.outbox", "WARNING") as logged:
                self.relay.drain()
                self.relay._away[self.queue].until = 0.0
                self.relay.drain()
            self.assertEqual(len(logged.output), 1)
        self.assertFalse(self.rows().exists())
        self.assertEqual(sorted(self.numbers()), [0, 1, 2])

    def test_what_was_read_before_a_long_standstill_is_read_again(self) -> None:
        self.note.delay(1)
        read = Relay._read

        handing = get_app().client._handing_over

        def slow(relay: Relay, *given: Any) -> Any:
            found = read(relay, *given)
            handing._clock = lambda: time.monotonic() + 40
            return found

        with mock.patch.object(Relay, "_read", slow):
            self.relay.round()
        handing._clock = time.monotonic
        self.assertEqual((self.waiting(), self.rows().count(), self.relay._away), (0, 1, {}))
        self.relay.drain()
        self.assertEqual(self.numbers(), [1])


class Waking(OutboxTest):
    def test_the_loop_delivers_what_is_committed_and_ends_when_it_is_told(self) -> None:
        relay = Relay(get_app(), "default", mock.Mock(batch=50, notify=True, poll_seconds=0.1))
        stop = threading.Event()
        thread = threading.Thread(target=relay.run, args=(stop,))
        thread.start()
        try:
            for number in range(3):
                with transaction.atomic():
                    self.note.delay(number)
                until = time.monotonic() + 30
                while self.waiting() <= number and time.monotonic() < until:
                    time.sleep(0.01)
            self.assertEqual(self.numbers(), [0, 1, 2])
            if self.is_postgres():
                self.assertTrue(relay._waking._listening)
        finally:
            stop.set()
            thread.join(30)
        self.assertFalse(thread.is_alive())


class Pages(OutboxTest):
    def test_the_admin_shows_what_waits_and_has_it_delivered_again(self) -> None:
        from django.contrib.auth.models import User

        self.client.force_login(User.objects.create_superuser("root", "", "secret"))
        for number in (7001, 7002):
            self.note.delay(number)
        row = self.rows().order_by("id").first()
        self.rows().filter(id=row.id).update(failed_at=F("created_at"), error="it is damaged")
        page = self.client.get("/admin/taskflow/outboxrow/")
        self.assertContains(page, "it is damaged")
        self.assertContains(page, "shop.tasks.note")
        self.assertNotContains(page, "7001")
        for state, count in (("waits", 1), ("retries", 0), ("given-up", 1)):
            found = self.client.get("/admin/taskflow/outboxrow/", {"state": state})
            self.assertEqual(found.context["cl"].result_count, count)
        shown = self.client.get(f"/admin/taskflow/outboxrow/{row.id}/change/")
        self.assertContains(shown, row.task_id)
        self.assertNotContains(shown, "7001")
        self.assertEqual(self.client.get("/admin/taskflow/outboxrow/add/").status_code, 403)
        done = self.client.post(
            "/admin/taskflow/outboxrow/",
            {"action": "deliver_again", "_selected_action": [row.id]},
            follow=True,
        )
        self.assertContains(done, "1 calls wait")
        self.relay.drain()
        self.assertEqual(self.waiting(), 2)
        self.assertEqual(OutboxRow.objects.count(), 0)
