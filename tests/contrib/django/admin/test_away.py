"""What the pages say while a node of a cluster, or the only server, is away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from taskflow.broker.commands.enqueue import NewTask, enqueue, publish_queues
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.connection.topology import key_slot
from taskflow.contrib.django.admin_pages.places import place_of
from taskflow.errors import TaskFlowError
from taskflow.inspector import Inspector
from taskflow.message.task_message import TaskMessage
from taskflow.states import State
from tests.conftest import Cluster
from tests.contrib.django.admin.site import Person, Site
from tests.contrib.django.admin.test_pages import QUEUES, TASKS, WORKERS, page_of
from tests.embedded.support import kill
from tests.inspector.stored import Stored
from tests.servers import wait_until

pytestmark = [pytest.mark.xdist_group("django_admin"), pytest.mark.timeout(300)]
"""One process of pytest-xdist: they share the site."""


@pytest.mark.parametrize("path", [TASKS, page_of("worker", "w")])
def test_without_the_server_a_page_says_so_and_the_admin_works(
    site: Site, admin: Person, stored: Stored, path: str
) -> None:
    with site.using(BROKER="redis://user:hidden-password@127.0.0.1:1"):
        page = admin.get(path)
        assert page.status == 503
        assert "The broker does not answer" in page.text
        assert "127.0.0.1:1" in page.text
        assert "hidden-password" not in page.html
        assert page.links["Tasks"] == TASKS
    assert admin.get(QUEUES).status == 200


def test_an_order_while_the_server_is_away_changes_nothing(site: Site, admin: Person, stored: Stored) -> None:
    stored.put(State.ARCHIVED, "t")
    asked = admin.order("task", "run", place_of(stored.queue, "t"))
    with site.using(BROKER="redis://127.0.0.1:1"):
        done = admin.confirm(asked)
    assert done.status == 503  # the list, to which it leads
    assert done.messages[0].startswith("Perhaps not done: ")
    assert "Do it again: what was done is not done twice: 1 task (t)" in done.messages[0]
    assert stored.state("t") == "archived"
    assert admin.confirm(asked).messages == ["Pending, to run as soon as a worker is free: 1 task (t)"]


def test_in_eager_mode_the_pages_say_that_there_are_no_queues(site: Site, admin: Person) -> None:
    with site.using(EAGER=True, BROKER="redis://127.0.0.1:1"):
        pages = [admin.get(path) for path in (QUEUES, TASKS, WORKERS)]
    assert [page.status for page in pages] == [200] * 3
    assert all("There are no queues" in page.text for page in pages)


@pytest.fixture
def two(cluster: Cluster) -> Iterator[tuple[Inspector, str, str]]:
    """A queue on a shard that can be taken away without the indexes, and one on another shard, with a task each."""
    broker = Broker(SyncDriver(cluster.url))
    inspector = Inspector(broker)
    broker.run(publish_queues(["admin-away", "admin-there"]))
    topology = broker.driver.topology
    indexes = {topology.owner(key_slot(name)) for name in ("asynq:queues", "asynq:servers")}
    by_node: dict[object, str] = {}
    for number in range(100):
        name = f"admin-{number}"
        by_node.setdefault(topology.owner(key_slot(f"{{{name}}}")), name)
    away = next(name for node, name in by_node.items() if node not in indexes)
    there = next(name for node, name in by_node.items() if node in indexes)
    broker.run(publish_queues([away, there]))
    for name in ("admin-away", "admin-there"):
        inspector.remove(name)
    for name in (away, there):
        message = TaskMessage(type="shop:pay", payload=b"{}", id=f"of-{name}", queue=name, timeout=60)
        broker.run(enqueue(name, [NewTask(message, delay=3600)]))
    yield inspector, away, there
    cluster.heal()
    for name in (away, there):
        with contextlib.suppress(TaskFlowError):
            inspector.remove(name, force=True)
    broker.close()


def test_with_a_node_away_each_page_shows_the_rest_and_says_what_is_missing(
    site: Site, admin: Person, cluster: Cluster, two: tuple[Inspector, str, str]
) -> None:
    inspector, away, there = two

    def nodes() -> list[str]:
        return [node.role for node in inspector.cluster_queues([away])[0].nodes]

    wait_until(lambda: nodes() == ["master", "replica"], description="the queue has a master and a replica")
    ports = {node.port for node in inspector.cluster_queues([away])[0].nodes}
    places = [place_of(away, f"of-{away}"), place_of(there, f"of-{there}")]
    with site.using(BROKER=cluster.url):
        asked = admin.order("task", "run", *places)
        for node in cluster.nodes:
            if node.port in ports and node.pid is not None:
                kill(node.pid)
        queues = admin.get(QUEUES)
        assert queues.status == 200
        rows = {row[1]: row[2:] for row in queues.rows[1:]}
        assert rows[away][:2] == ["unavailable", "-"]
        assert rows[there][0] == "running"
        assert f"Missing here: queue '{away}'" in queues.text
        tasks = admin.get(TASKS)
        assert tasks.status == 200
        assert f"of-{there}" in tasks.ids
        assert f"of-{away}" not in tasks.ids
        assert f"Missing here: queue '{away}'" in tasks.text
        one = admin.get(page_of("task", away, f"of-{away}"))
        assert (one.status, "The broker does not answer" in one.text) == (503, True)
        done = admin.confirm(asked)
        text = " ".join(done.messages)
        assert f"Pending, to run as soon as a worker is free: 1 task (of-{there})" in text
        assert "Perhaps not done: " in text
        assert f"1 task (of-{away})" in text
