"""The setting, system checks, arguments, the command, and connections in this process."""

from __future__ import annotations

import io
import os
from typing import Any
from unittest import mock

from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings
from mail.tasks import backend as coroutine
from mail.texts import greet

from orders.models import Order
from orders.tasks import backend, price
from taskflow.contrib.django import databases, get_app
from taskflow.contrib.django.test import eager_tasks
from taskflow.errors import InvalidArguments


class TheSetting(SimpleTestCase):
    """What `TASKFLOW` may hold, and what a test may make of it."""

    def refused(self, value: object) -> str:
        with self.assertRaises(ImproperlyConfigured) as raised, override_settings(TASKFLOW=value):
            pass
        return str(raised.exception)

    def test_what_cannot_be_is_refused_with_what_to_write(self) -> None:
        """Celery's words, a key in small letters, a slip of the pen, and values."""
        self.assertIn("did you mean 'BROKER'", self.refused({"BROKR": "redis://localhost"}))
        self.assertIn("'broker' is written 'BROKER'", self.refused({"broker": "redis://localhost"}))
        self.assertIn("use 'EAGER'", self.refused({"TASK_ALWAYS_EAGER": True}))
        self.assertIn("there is no 'NONSENSE'", self.refused({"NONSENSE": 1}))
        self.assertIn("is to be a dict", self.refused("redis://localhost"))
        self.assertIn("True or False", self.refused({"ENQUEUE_ON_COMMIT": "yes"}))
        self.assertIn("a list of names", self.refused({"AUTODISCOVER_MODULES": "tasks"}))
        self.assertIn("SIGNING_KEYS", self.refused({"SIGNING_KEYS": ["short"]}).upper())
        self.assertIn("partitions", self.refused({"QUEUES": {"images": {"partitions": "many"}}}))
        self.assertIn("No module named", self.refused({"STORE": "nowhere.at_all"}))
        self.assertIn("scheme", self.refused({"BROKER": "localhost:6379"}))

    def test_a_broker_urls_password_is_in_no_error(self) -> None:
        """It would be in the log of whoever starts the server."""
        self.assertNotIn("geheim", self.refused({"BROKER": "redis://me:geheim@localhost:port"}))

    def test_an_option_for_every_task_and_all_else_that_an_app_takes(self) -> None:
        """By the names of `TaskFlow(...)` in capitals."""
        keys = {
            "QUEUE": "images",
            "MAX_RETRIES": 3,
            "NAME": "another",
            "STORE": "orders.in_django.surroundings.STORE",
        }
        before = get_app()
        with override_settings(TASKFLOW=keys):
            self.assertIsNot(get_app(), before)
            self.assertEqual((get_app().name, price.queue, price.max_retries), ("another", "images", 3))
            self.assertIs(price.app, get_app())
        self.assertIs(get_app(), before)
        self.assertEqual(price.queue, "default")
        self.assertIs(price.app, before)

    def test_eager_mode_and_broker_change_the_app_itself(self) -> None:
        """So tasks of `@app.task` follow, too."""
        before, broker = get_app(), get_app().broker_url
        with override_settings(TASKFLOW={"RETENTION": 600, "EAGER": True}):
            self.assertIs(get_app(), before)
            self.assertNotEqual(before.broker_url, broker)
            self.assertEqual(greet.delay().get(), "hello you")
        self.assertEqual((before.eager, before.broker_url), (False, broker))

    def test_a_nested_override_is_taken_back_step_by_step(self) -> None:
        """As Django does it with the settings."""
        apps: list[Any] = [get_app()]
        with override_settings(TASKFLOW={"QUEUE": "one"}):
            apps.append(get_app())
            with override_settings(TASKFLOW={"QUEUE": "two"}):
                apps.append(get_app())
                self.assertEqual(price.queue, "two")
            self.assertIs(get_app(), apps[1])
            self.assertEqual(price.queue, "one")
        self.assertIs(get_app(), apps[0])
        self.assertEqual(len(set(map(id, apps))), 3)


class Store:
    """A store that nobody uses."""

    def put(self, key: str, data: bytes) -> None: ...

    def get(self, key: str) -> bytes | None: ...

    def delete(self, key: str) -> None: ...


STORE = Store()


class Checks(SimpleTestCase):
    """`manage.py check`."""

    def ids(self, *, deploy: bool = False, **keys: object) -> set[str]:
        with (
            mock.patch("taskflow.contrib.django.checks._is_test", lambda: False),
            override_settings(TASKFLOW=keys),
        ):
            found = run_checks(include_deployment_checks=deploy)
        return {one.id for one in found if one.id.startswith("taskflow.")}

    def test_a_project_as_it_should_be_hears_nothing(self) -> None:
        """Not even at the deployment."""
        given = {"BROKER": "redis://:secret@localhost", "ENQUEUE_ON_COMMIT": True}
        self.assertEqual(self.ids(deploy=True, **given), set())

    def test_without_debug_a_development_server_and_eager_mode_are_doubtful(self) -> None:
        """A request would wait for its tasks."""
        with mock.patch.dict(os.environ, TASKFLOW_BROKER=""):
            self.assertEqual(self.ids(), {"taskflow.W001"})
        self.assertEqual(self.ids(BROKER="redis://localhost", EAGER=True), {"taskflow.W002"})
        with override_settings(DEBUG=True):
            self.assertEqual(self.ids(EAGER=True), set())

    def test_requests_that_are_transactions_are_doubtful_without_the_setting(self) -> None:
        """A worker is quicker than the commit."""
        with mock.patch.dict(connection.settings_dict, ATOMIC_REQUESTS=True):
            self.assertEqual(self.ids(BROKER="redis://localhost"), {"taskflow.W003"})
            self.assertEqual(self.ids(BROKER="redis://localhost", ENQUEUE_ON_COMMIT=True), set())
            for outbox, found in (
                (True, set()),
                ({"ALWAYS": False}, {"taskflow.W003"}),
                ({"DATABASES": ["other"]}, {"taskflow.W003"}),
            ):
                self.assertEqual(self.ids(BROKER="redis://localhost", OUTBOX=outbox), found)

    def test_a_broker_without_any_password_is_doubtful_at_the_deployment(self) -> None:
        """`manage.py check --deploy`."""
        self.assertEqual(self.ids(BROKER="redis://localhost", deploy=True), {"taskflow.W004"})
        keys = {"SIGNING_KEYS": ["a-secret-of-its-own-kind"]}
        self.assertEqual(self.ids(BROKER="redis://localhost", deploy=True, **keys), set())


class Arguments(TestCase):
    """Rows and queries do not travel."""

    def test_a_row_is_refused_with_what_to_pass(self) -> None:
        """As an argument, by name, and in a list; also of a call that waits for the commit."""
        order = Order.objects.create(product="pear")
        for call in (
            lambda: price.delay(order),
            lambda: price.delay(order=order),
            lambda: price.delay([order]),
            lambda: price.delay({"order": order}),
            lambda: price.delay_on_commit(order),
            lambda: price.options(queue="slow").apply_async((order,)),
        ):
            with self.assertRaisesRegex(InvalidArguments, r"row of orders\.Order.*Pass its pk"):
                call()

    def test_a_query_is_refused_with_what_to_pass(self) -> None:
        """A manager is one, too."""
        for query in (Order.objects.all(), Order.objects):
            with self.assertRaisesRegex(InvalidArguments, r"query of orders\.Order.*values_list"):
                price.delay(query)

    def test_another_argument_that_does_not_fit_is_refused_as_ever(self) -> None:
        """With its own words."""
        with self.assertRaisesRegex(InvalidArguments, "order") as raised:
            price.delay("pear")
        self.assertNotIn("row", str(raised.exception))


class TheCommand(SimpleTestCase):
    """`call_command`."""

    def test_what_it_prints_goes_where_the_caller_says(self) -> None:
        """As with every command of Django's."""
        output = io.StringIO()
        greet.delay()
        call_command("taskflow", "queue", "ls", stdout=output)
        self.assertRegex(output.getvalue(), r"^Queue .*\ndefault ")
        self.assertNotIn("TASKFLOW_APP", os.environ)

    def test_a_worker_is_no_part_of_a_test(self) -> None:
        """It has a process of its own."""
        with self.assertRaisesRegex(CommandError, "app.worker"):
            call_command("taskflow", "worker", "--burst")


class ConnectionsHere(TransactionTestCase):
    """What is done to the connections of this process, and what is not."""

    def test_eager_tasks_leave_the_callers_connection_as_it_is(self) -> None:
        """It is in a transaction, most likely that of a test."""
        with eager_tasks(), transaction.atomic():
            mine = backend()
            self.assertEqual(backend.delay().get(), mine)
            self.assertEqual(coroutine.delay().get()[:2], [mine, mine])
            self.assertTrue(connection.in_atomic_block)
        self.assertEqual(backend.apply().get(), mine)
        self.assertEqual(coroutine.apply().get()[:2], [mine, mine])
        self.assertEqual(backend(), mine)

    def test_a_connection_that_was_left_in_a_transaction_is_closed(self) -> None:
        """A limit was raised in the midst of the end of a block: what comes next would be part of that, and never committed."""
        transaction.atomic().__enter__()
        old, mine = connection.connection, backend()
        databases.close_connections()

        self.assertTrue(old.closed)
        self.assertFalse(connection.in_atomic_block)
        self.assertNotEqual(backend(), mine)
        Order.objects.create(product="pear")
        databases.close_connections()
        self.assertEqual(Order.objects.count(), 1)
