"""Processes, servers and nodes die between the COMMIT and the queue: what is committed comes once, all else never."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from taskflow import TaskFlow
from tests.contrib.django.outbox.site import Site
from tests.postgres import Database, Postgres, running
from tests.servers import Server, wait_until

CALLS = """
import os, signal
from django.db import transaction
from shop.models import Order
from shop.tasks import confirm
with transaction.atomic():
    order = Order.objects.create(quantity=3)
    confirm.delay(order.pk)
try:
    with transaction.atomic():
        confirm.delay(Order.objects.create(quantity=4).pk)
        raise KeyError
except KeyError:
    pass
"""
"""One transaction that is committed, one that is rolled back."""

DIES = "os.kill(os.getpid(), signal.SIGKILL)"

RELAY_DIES = """
import os, signal
from taskflow.contrib.django.outbox.relay import Relay
settle = Relay._settle
def died(self, found, deliveries):
    if not deliveries:
        return settle(self, found, deliveries)
    assert all(one.is_new for one in deliveries)
    os.kill(os.getpid(), signal.SIGKILL)
Relay._settle = died
from taskflow.contrib.django import get_app
from taskflow.contrib.django.outbox.setting import outbox_settings
Relay(get_app(), "default", outbox_settings()).round()
"""


class Shop:
    """The project, on a server and a database of its own."""

    def __init__(self, broker: str, database: Database) -> None:
        self.broker = broker
        self.database = database
        entry = database.of_django()
        self.site = Site(broker, {"default": entry, "other": entry})
        self.site.manage("migrate", "--verbosity=0", "--run-syncdb")
        self.app = TaskFlow(f"watches-{database.name}", broker=broker)

    def one(self, query: str) -> int:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        assert row is not None
        return int(row[0])

    def rows(self) -> int:
        return self.one("SELECT count(*) FROM taskflow_outbox")

    def confirmed(self) -> Counter[int]:
        """How often the task of each order has run."""
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            return Counter(row[0] for row in connection.execute('SELECT "order" FROM shop_confirmation'))

    def wait_for(self, orders: int) -> None:
        wait_until(
            lambda: len(self.confirmed()) >= orders and not self.rows(),
            description=f"{orders} orders are confirmed",
            timeout=60,
        )


@pytest.fixture
def shop(own_server: Server, postgres: Postgres) -> Iterator[Shop]:
    made = Shop(own_server.url, postgres.create())
    yield made
    made.app.close()


def test_a_producer_that_is_killed_after_its_commit_has_its_call_run_once(shop: Shop) -> None:
    """And what it rolled back does not run. The relay is the worker's own."""
    shop.site.python(CALLS + DIES, code=-signal.SIGKILL)
    assert shop.rows() == 1
    with shop.site.worker(queues={"default": 1}) as worker:
        shop.wait_for(1)
        worker.wait_for_log("succeeded")
        assert shop.confirmed() == Counter({1: 1})
        # What comes while it runs is delivered, too; and a handle sees it through, from before its delivery to its result.
        said = shop.site.python(CALLS + "print('got', confirm.delay(order.pk).get(timeout=60))")
        assert "got 3" in said
        shop.wait_for(2)
    assert set(shop.confirmed()) == {1, 3}


def test_a_relay_that_is_killed_after_its_delivery_has_it_run_once(shop: Shop) -> None:
    """The row is there still, and the task has run and left nothing by the time of the next delivery."""
    site = replace(shop.site, taskflow={"OUTBOX": {"RELAY": False}, "RETENTION": 0})
    site.python(CALLS)
    site.python(RELAY_DIES, code=-signal.SIGKILL)
    assert "default: 1 calls wait" in site.manage("taskflow", "relay", "--status")
    with site.worker(queues={"default": 1}) as worker:
        worker.wait_for_log("succeeded")
        assert shop.rows() == 1
        site.manage("taskflow", "relay", "--once")
        assert shop.rows() == 0
        # What would have come by a second delivery waits before this.
        site.python(
            "from shop.tasks import note; note.options(outbox=False, retention=60).delay(7).get(timeout=60)"
        )
    assert shop.confirmed() == Counter({1: 1})


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """One that this test may restart."""
    with running() as postgres:
        yield postgres


def test_a_relay_outlives_its_database_and_its_broker(own_postgres: Postgres, own_server: Server) -> None:
    """PostgreSQL restarts, and the server stands still for a while; nothing is to be done by hand."""
    shop = Shop(own_server.url, own_postgres.create())
    relay = shop.site.start("manage.py", "taskflow", "relay")
    try:
        for restart in (lambda: None, own_postgres.restart):
            restart()
            shop.site.python(CALLS)
            wait_until(lambda: not shop.rows(), description="the row is delivered", timeout=60)
        os.kill(own_server.process.pid, signal.SIGSTOP)
        shop.site.python(CALLS)
        assert shop.rows() == 1
        os.kill(own_server.process.pid, signal.SIGCONT)
        wait_until(lambda: not shop.rows(), description="the row is delivered", timeout=60)
        assert shop.app.inspector.queue("default").pending == 3
        began = time.monotonic()
        relay.send_signal(signal.SIGTERM)
        out, _ = relay.communicate(timeout=30)
        assert relay.returncode == 0
        assert "Relayed 3 calls" in out
        assert time.monotonic() - began < 20
    finally:
        relay.kill()
        relay.wait()
        shop.app.close()
