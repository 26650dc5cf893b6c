"""The groups of an app with keys: a child checks and opens the members, and closes the task in their place."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis

from taskflow import TaskFlow
from taskflow.broker.keys import queue_keys
from taskflow.message.content import ENCRYPTED
from taskflow.message.encryption import EncryptionKeys
from taskflow.message.message_crypto import CONTENT_TYPE_HEADER, JSON, MessageCrypto
from taskflow.message.signing import SIGNATURE_HEADER, SigningKeys
from taskflow.message.task_message import TaskMessage
from taskflow.worker.timings import Timings
from tests.leases import make_due
from tests.security import groups_app as module
from tests.security.conftest import Stored, apps_of
from tests.security.keys import ENCRYPTION, SIGNING
from tests.servers import Server, start_server, wait_until
from tests.workers import WorkerProcess

Worker = Callable[..., WorkerProcess]

SOON = Timings(aggregate=0.1, first_restart=0.1, build=2.0)
SECRET = "canary-of-a-group"


@pytest.fixture
def apps(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module with the apps that have groups."""
    yield from apps_of(module, valkey, monkeypatch)


@pytest.fixture
def worker(valkey: Server, queue: str) -> Worker:
    """Starts a worker of one of the apps, which joins the groups of this test's queue."""

    def start(app: str, **options: Any) -> WorkerProcess:
        environment = {"TASKFLOW_TEST_GROUPS": queue, **options.pop("environment", {})}
        options = {"queues": {queue: 1}, "concurrency": 2, "timings": SOON, **options}
        return WorkerProcess(
            f"tests.security.groups_app:{app}",
            broker=valkey.url_as("worker"),
            environment=environment,
            **options,
        )

    return start


class Group:
    """A group in this test's queue, and what became of it."""

    def __init__(self, stored: Stored, name: str = "g") -> None:
        self.stored, self.name = stored, name
        self.keys = queue_keys(stored.queue)

    def fill(self, app: TaskFlow, *numbers: int, text: str = "") -> list[str]:
        single = app.tasks["single"].options(queue=self.stored.queue, group=self.name)
        return [single.delay(number=number, text=text).id for number in numbers]

    def change(self, task_id: str, **fields: Any) -> TaskMessage:
        """Somebody with the server's password changes a member."""
        changed = replace(self.stored.message(task_id), **fields)
        self.stored.raw.hset(self.stored.key(task_id), "msg", changed.encode())
        return changed

    def joined(self) -> list[str]:
        """The ids of the tasks that took the place of members, and have completed."""
        return [one.decode() for one in self.stored.raw.zrange(self.keys.completed, 0, -1)]

    def wait(self, app: TaskFlow, *numbers: int) -> TaskMessage:
        """Wait until exactly these were joined into one task and it has run; its message."""
        wait_until(self.joined, description="a joined task has completed")
        (task_id,) = self.joined()
        result = app.result(task_id, queue=self.stored.queue).get(25)
        assert result == {"group": self.name, "numbers": sorted(numbers), "id": task_id}
        return self.stored.message(task_id)

    def is_empty(self) -> bool:
        return not self.stored.raw.exists(self.keys.group(self.name)) and not self.stored.raw.sismember(
            self.keys.groups, self.name
        )


@pytest.fixture
def group(stored: Stored) -> Group:
    return Group(stored)


@pytest.mark.parametrize("name", ["plain", "signed", "encrypted", "sealed"])
def test_members_become_one_task_that_is_closed_as_they_were(
    apps: Any, worker: Worker, group: Group, name: str
) -> None:
    """Without keys nothing is asked of a child; with keys nothing of a member can be read on the way, and nothing made up."""
    app = getattr(apps, name)
    group.fill(app, 1, 2, 3, text=SECRET)
    with worker(name):
        message = group.wait(app, 1, 2, 3)
    signs, hides = name in ("signed", "sealed"), name in ("encrypted", "sealed")
    assert (SIGNATURE_HEADER in message.headers) == signs
    assert (message.headers.get(CONTENT_TYPE_HEADER) == JSON + ENCRYPTED) == hides
    assert (SECRET.encode() in (message.payload or b"")) != hides
    if name != "plain":
        keys = MessageCrypto(
            SigningKeys([SIGNING.encode()]) if signs else None,
            EncryptionKeys([ENCRYPTION.encode()]) if hides else None,
        )
        keys.check(message, group.stored.queue, message.id.encode(), JSON)
        assert SECRET.encode() in (keys.open(message, group.stored.queue, message.id.encode()) or b"")
    assert group.is_empty()


def test_members_of_an_older_key_are_joined_and_closed_with_the_first(
    apps: Any, worker: Worker, group: Group
) -> None:
    group.fill(apps.old, 1, 2)
    group.fill(apps.rotated, 3)
    with worker("rotated"):
        message = group.wait(apps.sealed, 1, 2, 3)
    MessageCrypto(SigningKeys([SIGNING.encode()])).check_signature(
        message, group.stored.queue, message.id.encode()
    )


def test_a_member_whose_key_is_not_here_waits_for_a_worker_that_has_it(
    apps: Any, worker: Worker, group: Group, stored: Stored
) -> None:
    """As a single task does: it is put back, comes to its group again, and the others do not wait for it."""
    only_old = MessageCrypto(None, EncryptionKeys([module.OLD_ENCRYPTION.encode()]))
    (late,) = group.fill(apps.encrypted, 7)
    group.fill(apps.encrypted, 1, 2)
    opened = TaskMessage(
        type="single", payload=b'{"number":7}', id=late, queue=stored.queue, timeout=60, group_key="g"
    )
    stored.raw.hset(stored.key(late), "msg", only_old.close(opened).encode())
    with worker("encrypted"):
        group.wait(apps.encrypted, 1, 2)
        stored.wait_for(late, "scheduled")
    make_due(stored.raw, stored.queue)
    with worker("rotated_encryption"):
        wait_until(lambda: len(group.joined()) == 2, description="the late one was joined, too")
    results = [apps.rotated_encryption.result(one, queue=stored.queue).get(25) for one in group.joined()]
    assert sorted(result["numbers"] for result in results) == [[1, 2], [7]]


CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "unsigned": ("unsigned", {"headers": {}}),
    "another payload": ("bad signature", {"payload": b'{"number":999}'}),
    "another task": ("bad signature", {"type": "add_up"}),
    "says another id": ("bad signature", {"id": "order-18"}),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_member_is_archived_unread_and_its_neighbours_are_joined(
    apps: Any, worker: Worker, group: Group, stored: Stored, kind: str
) -> None:
    """By the rules for a task that was taken to be run: its payload as it is, with the reason, counted, said in the log."""
    reason, fields = CHANGES[kind]
    first, second, third = group.fill(apps.signed, 1, 2, 3)
    changed = group.change(second, **fields)
    with worker("signed") as process:
        group.wait(apps.signed, 1, 3)
        task = stored.wait_for(second, "archived")
        line = process.wait_for_log("archived unread")
    kept = stored.message(second)
    assert kept.error_msg.startswith(f"{reason}: ")
    assert json.loads(task[b"error"]) == {"type": "SignatureError"}
    assert (kept.payload, kept.headers, kept.type) == (changed.payload, changed.headers, changed.type)
    assert f"Task {second} in queue {stored.queue}" in line
    assert reason in line
    assert not stored.raw.exists(stored.key(first), stored.key(third))
    assert stored.count("archived") == 1
    assert stored.raw.get(group.keys.failed) == b"1"
    assert group.is_empty()


def test_a_member_that_is_no_message_is_archived_as_it_is(
    apps: Any, worker: Worker, group: Group, stored: Stored
) -> None:
    _, second = group.fill(apps.sealed, 1, 2)
    stored.raw.hset(stored.key(second), "msg", b"\xff\xff no message")
    with worker("sealed"):
        group.wait(apps.sealed, 1)
        task = stored.wait_for(second, "archived")
    assert task[b"msg"] == b"\xff\xff no message"
    assert json.loads(task[b"error"])["type"] == "DecodeError"


def test_a_group_of_nothing_but_strangers_becomes_no_task(
    apps: Any, worker: Worker, group: Group, stored: Stored
) -> None:
    ids = group.fill(apps.other, 1, 2) + group.fill(apps.plain, 3)
    with worker("signed"):
        for task_id in ids:
            stored.wait_for(task_id, "archived")
        wait_until(group.is_empty, description="the group is gone")
    assert (stored.count("pending"), stored.count("completed"), stored.count("active")) == (0, 0, 0)


@pytest.mark.parametrize(
    ("what", "said"), [("dies", "ended"), ("hangs", "did not answer"), ("fails", "ValueError")]
)
def test_a_child_that_is_lost_over_a_build_costs_no_member(
    apps: Any, worker: Worker, group: Group, stored: Stored, tmp_path: Path, what: str, said: str
) -> None:
    """The members are on the server until the one step that joins them: another child builds the message again."""
    group.fill(apps.sealed, *range(5))
    hurt = tmp_path / "hurt"
    environment = {module.FIRST_BUILD: f"{what}:{hurt}"}
    with worker("sealed", processes=2, environment=environment) as process:
        process.wait_for_log(lambda line: "was not built" in line and said in line)
        group.wait(apps.sealed, *range(5))
        assert hurt.exists()
        assert not [line for line in process.log if SECRET in line or "what is in" in line]


def test_a_single_child_that_dies_over_a_build_is_replaced_and_its_successor_builds(
    apps: Any, worker: Worker, group: Group, tmp_path: Path
) -> None:
    group.fill(apps.signed, 1, 2)
    with worker("signed", environment={module.FIRST_BUILD: f"dies:{tmp_path / 'hurt'}"}):
        group.wait(apps.signed, 1, 2)


def test_a_stop_while_a_child_builds_leaves_every_member_in_its_group(
    apps: Any, worker: Worker, group: Group, stored: Stored, tmp_path: Path
) -> None:
    ids = group.fill(apps.sealed, 1, 2, 3)
    hurt = tmp_path / "hurt"
    with worker("sealed", environment={module.FIRST_BUILD: f"hangs:{hurt}"}) as process:
        wait_until(hurt.exists, description="a build has begun")
        process.process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert not [line for line in process.log if "ERROR" in line]
    assert [stored.state(task_id) for task_id in ids] == ["aggregating"] * 3
    with worker("sealed"):
        group.wait(apps.sealed, 1, 2, 3)


def test_a_server_that_dies_while_a_child_builds_costs_no_member(
    apps: Any, queue: str, tmp_path: Path
) -> None:
    """What was built finds nobody to write it. When the server is back the members are there, and are joined once."""
    append = ("--appendonly", "yes")
    server = start_server(tmp_path, *append)
    hurt = tmp_path / "hurt"
    apps.sealed.use_broker(server.url)
    environment = {"TASKFLOW_TEST_GROUPS": queue, module.FIRST_BUILD: f"waits:{hurt}"}
    worker = WorkerProcess(
        "tests.security.groups_app:sealed",
        broker=server.url,
        queues={queue: 1},
        concurrency=1,
        environment=environment,
        timings=SOON,
    )
    try:
        with redis.Redis(port=server.port) as raw, worker:
            group = Group(Stored(raw, queue))
            group.fill(apps.sealed, 1, 2, 3)
            wait_until(hurt.exists, description="a build has begun")
            server.stop()
            hurt.unlink()
            wait_until(hurt.with_suffix(".built").exists, description="it is done, and cannot be written")
            server = start_server(tmp_path, *append, port=server.port)
            group.wait(apps.sealed, 1, 2, 3)
            assert group.stored.count("completed") == 1
            assert group.is_empty()
    finally:
        apps.sealed.close()
        apps.sealed._broker = None
        server.stop()


def test_what_is_built_keeps_to_the_limit_of_a_message(
    apps: Any, worker: Worker, group: Group, stored: Stored
) -> None:
    """Members that are too large together become several tasks; one that is too large by itself is archived."""
    group.fill(apps.sealed, *range(8), text="x" * 30_000)
    (large,) = group.fill(apps.sealed, 99, text="x" * 120_000)
    with worker("sealed", max_message=100_000):
        stored.wait_for(large, "archived")
        wait_until(group.is_empty, description="all were joined")
        wait_until(
            lambda: stored.count("completed") >= 4 and stored.count("pending") + stored.count("active") == 0,
            description="all have run",
        )
    results = [apps.sealed.result(one, queue=stored.queue).get(25) for one in group.joined()]
    assert sorted(number for result in results for number in result["numbers"]) == list(range(8))
    assert stored.count("archived") == 1
    assert json.loads(stored.task(large)[b"error"])["type"] == "MessageTooLarge"


def test_solo_builds_too(apps: Any, worker: Worker, group: Group) -> None:
    group.fill(apps.sealed, 1, 2)
    with worker("sealed", pool="solo", concurrency=1):
        group.wait(apps.sealed, 1, 2)
