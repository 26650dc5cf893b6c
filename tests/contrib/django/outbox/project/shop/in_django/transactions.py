"""Calls are rows of the caller's transaction."""

from __future__ import annotations

import json
from unittest import mock

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections, transaction
from django.test import override_settings

from shop.tasks import note
from taskflow.contrib.django import get_app
from taskflow.contrib.django.outbox import keeping
from taskflow.contrib.django.test import TasksMixin
from taskflow.errors import InvalidOption

from .base import OutboxTest


def with_outbox(outbox: object) -> override_settings:
    from django.conf import settings

    return override_settings(TASKFLOW={**settings.TASKFLOW, "OUTBOX": outbox})


class Savepoints(OutboxTest):
    def test_a_committed_call_comes_to_its_queue_once_and_a_rolled_back_one_never(self) -> None:
        with transaction.atomic():
            handle = self.note.delay(1)
            self.assertIsNone(handle.state)
            self.assertFalse(handle.ready())
        with self.assertRaises(KeyError), transaction.atomic():
            self.note.delay(2)
            raise KeyError
        self.assertEqual(self.waiting(), 0)
        self.relay.drain()
        self.relay.drain()
        self.assertEqual(self.numbers(), [1])
        self.assertEqual(handle.state, "pending")
        self.assertEqual(self.rows().count(), 0)

    def test_what_a_savepoint_takes_back_is_not_called(self) -> None:
        with transaction.atomic():
            self.note.delay(1)
            with self.assertRaises(KeyError), transaction.atomic():
                self.note.delay(2)
                raise KeyError
            self.note.delay(3)
        self.relay.drain()
        self.assertEqual(self.numbers(), [1, 3])


class Transactions(TasksMixin, OutboxTest):
    def test_bulks_are_rows_too_in_their_order(self) -> None:
        with transaction.atomic():
            self.note.map([(n,) for n in range(510)]).raise_for_errors()
            with get_app().batch():
                self.note.delay(2000)
                self.note.delay(2001)
        self.assertEqual(self.rows().count(), 512)
        self.relay.drain()
        self.assertEqual(self.numbers(), [*range(510), 2000, 2001])

    def test_a_coroutine_calls_in_the_transaction_of_its_synchronous_parts(self) -> None:
        async def work() -> None:
            await self.note.adelay(1)
            await self.note.amap([(2,), (3,)])

            @sync_to_async
            def in_a_transaction() -> None:
                with self.assertRaises(KeyError), transaction.atomic():
                    async_to_sync(self.note.adelay)(4)
                    raise KeyError

            await in_a_transaction()

        async_to_sync(work)()
        self.relay.drain()
        self.assertEqual(self.numbers(), [1, 2, 3])

    def test_a_call_belongs_to_the_database_whose_transaction_is_open(self) -> None:
        with with_outbox({"DATABASES": ["default", "other"]}):
            with transaction.atomic(using="other"):
                self.note.delay(1)
            with transaction.atomic(using="default"):
                self.note.delay(2)
            self.note.delay(3)
            self.assertEqual([self.rows(using).count() for using in ("default", "other")], [2, 1])
            with self.assertRaises(KeyError), transaction.atomic(using="other"):
                self.note.delay(4)
                raise KeyError
            self.relay_of("other").drain()
            self.assertEqual(self.numbers(), [1])
            self.relay.drain()
            self.assertEqual(self.numbers(), [1, 2, 3])

    def test_a_call_that_names_a_database_belongs_to_that_one(self) -> None:
        with with_outbox({"DATABASES": ["default", "other"]}):
            with transaction.atomic():
                with self.assertRaises(KeyError), transaction.atomic(using="other"):
                    handle = self.note.apply_async_on_commit((1,), using="other")
                    self.assertFalse(handle.ready())
                    async_to_sync(self.note.aapply_async_on_commit)((2,), using="other")
                    self.assertEqual([self.rows(using).count() for using in ("default", "other")], [0, 2])
                    raise KeyError
                self.note.apply_async_on_commit((3,), using="other")
            self.assertEqual([self.rows(using).count() for using in ("default", "other")], [0, 1])
        with self.assertRaises(InvalidOption):
            self.note.apply_async_on_commit((4,), using="nowhere")

    def test_a_call_waits_for_a_transaction_that_no_outbox_is_in(self) -> None:
        def call() -> None:
            self.note.apply_async_on_commit((1,), using="other")
            self.note.delay_on_commit(2)
            async_to_sync(self.note.adelay_on_commit)(3)
            with self.on_commit():
                self.note.delay(4)

        with self.assertRaises(KeyError), transaction.atomic(using="other"):
            call()
            raise KeyError
        self.assertEqual(self.rows().count(), 0)
        with transaction.atomic(using="other"):
            call()
            self.assertEqual(self.rows().count(), 0)
        self.relay.drain()
        self.assertEqual(self.numbers(), [1, 2, 3, 4])

    def on_commit(self) -> override_settings:
        from django.conf import settings

        return override_settings(TASKFLOW={**settings.TASKFLOW, "ENQUEUE_ON_COMMIT": True})

    def test_a_captured_call_is_one_that_was_committed(self) -> None:
        with self.captured_tasks() as calls:
            with transaction.atomic():
                self.note.delay(1)
                with self.assertRaises(KeyError), transaction.atomic():
                    self.note.delay(2)
                    raise KeyError
            with self.assertRaises(KeyError), transaction.atomic():
                async_to_sync(self.note.adelay)(3)
                self.note.delay_on_commit(4)
                raise KeyError
            self.note.delay(5)
        self.assertEqual([call.args for call in calls], [(1,), (5,)])
        self.assertEqual(self.rows().count(), 0)

    def test_a_connection_that_has_died_fails_one_call_and_not_all(self) -> None:
        if not self.is_postgres():
            self.skipTest("SQLite has no connection that could die")
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        with connections["other"].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with self.assertRaises(OperationalError):
            self.note.delay(1)
        self.note.delay(2)
        self.assertEqual(self.rows().count(), 1)

    def test_an_empty_dict_is_an_outbox(self) -> None:
        with with_outbox({}):
            self.note.delay(1)
        self.assertEqual(self.rows().count(), 1)

    def test_which_calls_go_there_is_said_by_setting_and_call(self) -> None:
        with with_outbox({"ALWAYS": False}):
            self.note.delay(1)
            note.options(queue=self.queue, outbox=True).delay(2)
            self.assertEqual((self.numbers(), self.rows().count()), ([1], 1))
        with with_outbox(False):
            self.note.delay(3)
            with self.assertRaises(ImproperlyConfigured):
                note.options(outbox=True).delay(4)
        self.note.options(outbox=False).delay(5)
        self.assertEqual((self.numbers(), self.rows().count()), ([1, 3, 5], 1))

    def test_no_broker_is_needed_to_call(self) -> None:
        from django.conf import settings

        with override_settings(TASKFLOW={**settings.TASKFLOW, "BROKER": "redis://127.0.0.1:1"}):
            with transaction.atomic():
                self.note.delay(1)
            self.assertEqual(self.relay_of("default").drain(), 1)
        self.assertEqual(self.relay.drain(), 0)
        self.assertEqual(self.numbers(), [1])

    def test_what_lies_there_holds_no_argument_where_there_are_keys(self) -> None:
        from django.conf import settings

        keys = {"SIGNING_KEYS": ["a-signing-key-of-16"], "ENCRYPTION_KEYS": ["an-encryption-key-16"]}
        with override_settings(TASKFLOW={**settings.TASKFLOW, **keys}):
            note.options(queue=self.queue).delay(424242)
            (row,) = self.rows()
            self.assertNotIn(b"424242", bytes(row.ready))
            self.assertEqual((row.name, row.queue), ("shop.tasks.note", self.queue))
            self.relay_of("default").drain()
        self.assertEqual(self.waiting(), 1)

    def test_a_commit_wakes_the_relay_once_for_a_transaction(self) -> None:
        if not self.is_postgres():
            self.skipTest("only PostgreSQL tells of commits")
        target = "taskflow.contrib.django.outbox.keeping._tell"
        keeping._teller.cache_clear()
        self.addCleanup(keeping._teller.cache_clear)
        with mock.patch(target) as tell:
            with transaction.atomic():
                for number in range(10):
                    self.note.delay(number)
                self.assertEqual(tell.call_count, 0)
            self.assertEqual(tell.call_count, 1)
            with self.assertRaises(KeyError), transaction.atomic():
                self.note.delay(1)
                raise KeyError
            self.note.delay(2)
            self.assertEqual(tell.call_count, 2)

    def test_the_arguments_of_the_setting_are_refused_with_what_to_write(self) -> None:
        for outbox, text in (
            ("yes", "is True, False or a dict"),
            ({"DATABASE": ["default"]}, "did you mean 'DATABASES'"),
            ({"DATABASES": "default"}, "a list of names"),
            ({"POLL_SECONDS": 0}, "a number over 0"),
            ({"BATCH": 2.5}, "a whole number"),
            ({"RELAY": 1}, "True or False"),
            ("", "is True, False or a dict"),
        ):
            with (
                self.subTest(outbox),
                with_outbox(outbox),
                self.assertRaisesMessage(ImproperlyConfigured, text),
            ):
                self.note.delay(1)
        self.assertEqual(json.dumps(self.rows().count()), "0")
