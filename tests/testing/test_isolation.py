"""A sandbox: all apps of the process use one private server, which is empty at the beginning, and nothing is left of a test."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

from taskflow import State, TaskFlow, embedded, shared_task
from taskflow.errors import BrokerUnavailable, ConfigurationError, InvalidOption
from taskflow.testing import (
    Sandbox,
    WorkerThread,
    assert_enqueued,
    assert_nothing_enqueued,
    drain,
    enqueued,
    sandbox,
)
from taskflow.testing.servers import servers
from tests.servers import wait_until
from tests.testing import shop

pytestmark = pytest.mark.usefixtures("_servers")


def test_every_app_is_on_the_tests_server_whatever_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that forgets one would enqueue in production."""
    monkeypatch.setenv("TASKFLOW_BROKER", "redis://127.0.0.1:1")
    before = TaskFlow("before", broker="redis://127.0.0.1:1")
    before.task(name="before:a")(shop.send)
    with sandbox() as box:
        within = TaskFlow("within", broker="redis://127.0.0.1:1", eager=None)
        within.task(name="within:a")(shop.send)
        before.use_broker("redis://127.0.0.1:1")
        for app in (before, within, shop.app):
            assert app.broker_url.startswith("unix://")
        before.tasks["before:a"].delay("ann")
        within.tasks["within:a"].delay("ann")
        assert len(enqueued()) == 2
        assert box.url.startswith("embedded:///")
    assert before.broker_url == "redis://127.0.0.1:1"
    with pytest.raises(BrokerUnavailable):
        before.tasks["before:a"].options(enqueue_timeout=0.1).delay("ann")


def test_nothing_is_left_for_the_next_one() -> None:
    with sandbox():
        shop.welcome.delay("ann")
        shop.once.delay("key")
        shop.welcome.delay("bob")
        drain(["default"])
        shop.app.inspector.pause("default")
    with sandbox():
        assert_nothing_enqueued()
        assert shop.app.inspector.queue_names() == []
        shop.once.delay("key")
        assert len(drain()) == 1
        assert shop.app.inspector.queue_names() == ["default"]


def test_a_worker_is_stopped_with_its_sandbox() -> None:
    with sandbox() as box:
        worker = box.worker(shop.app)
        assert shop.report.delay(1).get(20) == 2
        assert worker.worker.is_running
    assert not worker.worker.is_running
    with sandbox():
        shop.report.delay(1)
        assert len(enqueued()) == 1


def test_a_worker_that_somebody_else_leaves_behind_fails_its_own_test_and_not_the_next() -> None:
    worker = WorkerThread(shop.app)

    def leave() -> None:
        with sandbox():
            worker.__enter__()
            wait_until(lambda: shop.app.inspector.servers(), description="the worker has its record")

    with pytest.raises(ConfigurationError, match=f"a worker still runs .*{os.getpid()}"):
        leave()
    worker.stop()


def test_what_a_worker_cannot_start_with_is_raised_where_it_is_asked_for() -> None:
    with sandbox() as box, pytest.raises(InvalidOption, match="weight"):
        box.worker(shop.app, {"default": 0})


def test_eager_mode_is_for_all_apps_too(monkeypatch: pytest.MonkeyPatch) -> None:
    app = TaskFlow("eager", broker="redis://127.0.0.1:1", retention=60)
    task = app.task(name="eager:a")(shop.length)
    with sandbox("eager") as box:
        assert app.eager
        assert TaskFlow("within").eager
        assert task.delay("ann").get() == 3
        with pytest.raises(InvalidOption, match="in eager mode"):
            box.worker(app)
        with pytest.raises(InvalidOption, match="in eager mode"):
            assert_enqueued(task)
    assert not app.eager
    assert not TaskFlow("after").eager


def test_an_app_that_is_eager_by_its_settings_is_not_where_a_test_has_a_server(box: Sandbox) -> None:
    app = TaskFlow("by settings")
    assert not app.eager
    shop.welcome.delay("ann")
    assert len(enqueued()) == 1


def test_shared_tasks_go_where_their_app_goes(box: Sandbox) -> None:
    @shared_task(name="shared:a")
    def shared(number: int) -> int:
        return number

    app = TaskFlow("with shared", retention=60)
    handle = shared.delay(1)
    assert_enqueued(shared, 1)
    drain()
    assert (handle.get(), app.name) == (1, "with shared")


@pytest.mark.timeout(200)
def test_it_is_the_same_on_a_cluster() -> None:
    with sandbox("cluster") as box:
        assert box.mode == "cluster"
        handles = [shop.welcome.delay("ann"), shop.report.options(delay=86_400).delay(1)]
        box.assert_enqueued(shop.report, 1, delay=86_400)
        drain()
        assert handles[0].get() == "ANN"
        box.advance(86_400)
        assert handles[1].state is State.PENDING
        drain()
        assert handles[1].get() == 2
        worker = box.worker(shop.app)
        assert shop.report.delay(2).get(20) == 3
        worker.stop()
    with sandbox("cluster"):
        assert_nothing_enqueued()
        assert shop.app.inspector.queue_names() == []


class UnittestsTest(unittest.TestCase):
    """pytest runs it as unittest does."""

    def setUp(self) -> None:
        self.box = self.enterContext(sandbox())

    def test_it_is_a_context_manager(self) -> None:
        shop.welcome.delay("ann")
        self.box.assert_enqueued(shop.welcome, "ann")
        assert len(self.box.drain()) == 1


LEAVES = """
import os, sys
from taskflow.testing import sandbox
with sandbox():
    from taskflow.testing.servers import servers
    print(servers._own_folder(), flush=True)
    if sys.argv[1] == "fork":
        pid = os.fork()
        if not pid:
            sys.exit(0)
        os.waitpid(pid, 0)
        servers.empty("server")
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), 9)
"""


def _run(how: str) -> Path:
    done = subprocess.run([sys.executable, "-c", LEAVES, how], capture_output=True, text=True, timeout=60)
    assert done.returncode == (-9 if how == "killed" else 0), done.stderr
    return Path(done.stdout.strip())


def test_a_run_that_was_killed_leaves_a_server_that_the_next_one_ends() -> None:
    left = _run("killed")
    assert embedded.status(embedded.EmbeddedConfig(left / "server")).nodes[0].alive
    own = servers._own_folder()
    gone = _run("fork")
    assert not left.exists()
    assert not gone.exists()
    assert own.exists(), "what a living process has is nobody else's to remove"


def test_there_are_three_modes_and_one_sandbox_at_a_time(box: Sandbox) -> None:
    with pytest.raises(InvalidOption, match="server, cluster, eager"), sandbox("memory"):  # type: ignore[arg-type]
        pass
    with pytest.raises(ConfigurationError, match="there is a sandbox already"), sandbox():
        pass


@pytest.mark.parametrize(("given", "eager"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_environment_says_whether_apps_are_eager(
    monkeypatch: pytest.MonkeyPatch, given: str, eager: bool
) -> None:
    monkeypatch.setenv("TASKFLOW_EAGER", given)
    assert TaskFlow("a").eager is eager
    assert TaskFlow("b", eager=not eager).eager is not eager


def test_a_word_that_is_neither_yes_nor_no_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFLOW_EAGER", "perhaps")
    with pytest.raises(InvalidOption, match="TASKFLOW_EAGER is 'perhaps'"):
        TaskFlow("a")
