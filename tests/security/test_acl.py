"""The users of `taskflow acl`, on real servers: each can do its part, and nothing else."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest
import redis

import taskflow
from taskflow import TaskFlow, errors
from taskflow.broker import acl, scripts
from taskflow.broker.commands import queues
from taskflow.broker.sync import Broker
from taskflow.cli.main import main
from taskflow.connection.sync import SyncDriver
from taskflow.inspector import Inspector
from taskflow.states import State
from tests.conftest import Cluster
from tests.servers import ONCE, PASSWORD, Server, wait_until
from tests.workers import WorkerProcess

PACKAGE = Path(taskflow.__file__).parent
ROLES = {role.name: role for role in acl.ROLES}


@pytest.fixture
def admin(guarded: Server) -> Iterator[redis.Redis]:
    """Somebody who may do everything, to look behind the users' back."""
    client = redis.Redis(port=guarded.port)
    yield client
    client.close()


def client_of(server: Server, role: str) -> redis.Redis:
    return redis.Redis(port=server.port, username=f"taskflow-{role}", password=PASSWORD)


def app_of(server: Server, role: str, queue: str) -> TaskFlow:
    app = TaskFlow("client", broker=server.url_as(role), queue=queue, retention=60)

    @app.task(name="echo", max_retries=0)
    def echo(secret: str) -> str:
        return secret

    @app.task(name="fail_and_retry")
    def fail_and_retry(secret: str) -> str:
        return secret

    return app


# --- the lists ----------------------------------------------------------------------------------------------


def test_every_script_belongs_to_somebody() -> None:
    """A new script: give it to those who run it, in taskflow/broker/acl.py."""
    assert set(scripts.names()) == {name for role in acl.ROLES for name in role.scripts}


@pytest.mark.parametrize("role", acl.ROLES, ids=lambda role: role.name)
def test_a_role_has_the_commands_of_its_scripts_and_no_others(role: acl.Role) -> None:
    """What is not from a script is sent by the package itself; the producer's list is written by hand, for its keys."""
    used = set(acl.commands_of(role.scripts))
    assert used <= role.commands
    if role.name == "producer":
        own = {"ping", "select", "cluster|slots", "asking", "eval", "evalsha", "wait", "ssubscribe", "hmget"}
        own |= {"smismember", "role", "cluster|info", "cluster|myid"}
        assert role.commands - own == used - {"hmget"}


def test_every_command_in_a_script_is_found() -> None:
    """A command that a script calls by a variable would be missing from the lists."""
    for name in scripts.names():
        source = scripts.load(name).source
        for call in re.findall(r"redis\.p?call\((.*)", source):
            if not call.startswith("'"):
                assert re.match(r"\.\.\.\)|command, key, \.\.\.\)", call), (name, call)


def test_every_command_that_the_package_sends_is_on_a_list() -> None:
    own = {"embedded", "testing"}  # they administer servers of their own
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if own.isdisjoint(path.parts))
    sent = set(re.findall(r'Plain\(\s*\(\s*"([A-Z]+)"', text))
    sent |= set(re.findall(r'send_command\(\s*"([A-Z]+)"', text))
    sent |= set(re.findall(r'words(?:: [\w\[\], .]+)? = \(\s*"([A-Z]+)"', text))
    sent |= set(re.findall(r'(?:wires\.append\(\(|: Wire = \()"([A-Z]+)"', text))
    allowed = {command.partition("|")[0] for role in acl.ROLES for command in role.commands}
    assert len(sent) > 20
    # CONFIG GET shows the server's own password; `taskflow doctor` makes do with INFO where it is refused.
    assert {word.lower() for word in sent} - allowed == {"config"}


def test_a_viewer_has_no_command_that_writes(admin: redis.Redis) -> None:
    """But for the lists of servers, from which Go's tools remove the dead before they show them."""
    (lists,) = ROLES["viewer"].selectors
    assert set(lists.commands) == {"zremrangebyscore"}
    assert set(lists.keys) == {"asynq:servers", "asynq:workers", "asynq:schedulers"}
    for command in set(ROLES["viewer"].root.commands) - {"eval", "evalsha"}:
        (facts,) = admin.execute_command("COMMAND", "INFO", command).values()
        assert "write" not in facts["flags"], command


def test_nobody_may_administer_the_server() -> None:
    for role in acl.ROLES:
        dangerous = {
            "acl",
            "config",
            "debug",
            "flushall",
            "flushdb",
            "keys",
            "shutdown",
            "replicaof",
            "script",
            "module",
        }
        assert not {command.partition("|")[0] for command in role.commands} & dangerous


# --- the command ----------------------------------------------------------------------------------------------


def run(*words: str) -> list[str]:
    result = click.testing.CliRunner().invoke(main, ["acl", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_prints_lines_that_the_server_takes(admin: redis.Redis) -> None:
    lines = run()
    assert len(lines) == len(acl.ROLES)
    for line, role in zip(lines, acl.ROLES, strict=True):
        words = shlex.split(line)
        name = f"{words[2]}-copy"
        assert admin.execute_command(*words[:2], name, *words[3:])
        copy, original = (admin.acl_getuser(one) for one in (name, f"taskflow-{role.name}"))
        for part in ("commands", "keys", "channels", "selectors"):
            assert copy[part] == original[part], part  # type: ignore[index]
        # Nobody has this user's password, so nobody can be this user.
        assert copy["passwords"] == []  # type: ignore[index]
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis(
                port=admin.connection_pool.connection_kwargs["port"], username=name, password="x", retry=ONCE
            ).ping()
        admin.acl_deluser(name)


def test_prints_some_of_them_and_random_passwords() -> None:
    assert [line.split()[2] for line in run("viewer", "producer")] == ["taskflow-producer", "taskflow-viewer"]
    first, second = run("--passwords", "worker"), run("--passwords", "worker")
    assert first != second
    assert re.search(r" on >[\w-]{32} -@all ", first[0])
    assert run("--file", "viewer")[0].startswith("user taskflow-viewer on -@all ")


# --- what each can do -----------------------------------------------------------------------------------------


def test_a_worker_does_all_of_its_work(guarded: Server, admin: redis.Redis, queue: str) -> None:
    """Enqueue as a producer; run, retry, forward, keep results, heartbeat and be cancelled as a worker."""
    app = app_of(guarded, "producer", queue)
    echo, retried = app.tasks["echo"], app.tasks["fail_and_retry"]
    options = {"queues": {queue: 1}, "concurrency": 2, "log_level": "debug"}
    environment = {"TASKFLOW_BROKER": guarded.url_as("worker")}
    worker = WorkerProcess(
        "tests.security.app:plain", broker=guarded.url_as("worker"), environment=environment, **options
    )
    admin.acl_log_reset()
    with worker as process:
        assert echo.delay("now").get(20) == "now"
        assert echo.options(delay=1).delay("later").get(20) == "later"
        assert echo.options(unique=30).delay("once").get(20) == "once"
        assert retried.options(max_retries=1).delay("again").get(20) == "again"
        assert [one.get(20) for one in echo.map([(str(number),) for number in range(50)]).results][-1] == "49"
        assert app.result(echo.delay("elsewhere").id, queue=queue).get(20) == "elsewhere"
        wait_until(lambda: admin.zcard("asynq:servers"), description="its record is there")
        assert process.terminate() == 0
    refused = [line for line in process.log if "NOPERM" in line or "no permissions" in line.lower()]
    assert not refused
    assert not denied(admin)
    app.close()


def denied(admin: redis.Redis) -> list[tuple[str, str, str]]:
    """Whom the server has refused what."""
    return [(entry["username"], entry["reason"], entry["object"]) for entry in admin.acl_log()]


def test_a_worker_takes_over_and_cancels(guarded: Server, admin: redis.Redis, queue: str) -> None:
    app = app_of(guarded, "producer", queue)
    result = app.tasks["echo"].delay("left behind")
    key = f"asynq:{{{queue}}}"
    admin.lmove(f"{key}:pending", f"{key}:active", "RIGHT", "LEFT")
    admin.hset(f"{key}:t:{result.id}", mapping={"state": "active", "owner": "gone:1:x"})
    admin.zadd(f"{key}:lease", {result.id: 1})
    admin.acl_log_reset()
    with WorkerProcess(
        "tests.security.app:plain", broker=guarded.url_as("worker"), queues={queue: 1}
    ) as process:
        assert result.get(30) == "left behind"
        process.wait_for_log("had lost its worker")
        Inspector(Broker(SyncDriver(guarded.url_as("operator")))).cancel("nobody")
        process.terminate()
    assert not denied(admin)
    app.close()


FORBIDDEN_TO_A_PRODUCER = {
    "pause": ("SET", "asynq:{q}:paused", "1"),
    "overwrite a list": ("SET", "asynq:{q}:pending", "x"),
    "delete a task": ("DEL", "asynq:{q}:t:1"),
    "delete a list": ("UNLINK", "asynq:{q}:pending"),
    "take a task": ("RPOP", "asynq:{q}:pending"),
    "read the list": ("LRANGE", "asynq:{q}:pending", "0", "-1"),
    "count": ("LLEN", "asynq:{q}:pending"),
    "change a lease": ("ZADD", "asynq:{q}:lease", "1", "x"),
    "archive": ("ZADD", "asynq:{q}:archived", "1", "x"),
    "unarchive": ("ZREM", "asynq:{q}:archived", "x"),
    "delete a field": ("HDEL", "asynq:{q}:t:1", "msg"),
    "cancel": ("PUBLISH", "asynq:cancel", "1"),
    "hear cancellations": ("SUBSCRIBE", "asynq:cancel"),
    "forge a worker": ("SETEX", "asynq:servers:{h:1:x}", "10", "x"),
    "other keys": ("SET", "session:1", "x"),
    "other data": ("GET", "session:1"),
    "scan": ("SCAN", "0"),
    "configure": ("CONFIG", "GET", "*"),
    "flush": ("FLUSHALL",),
    "become another": ("ACL", "SETUSER", "taskflow-producer", "+@all"),
    "kill": ("CLIENT", "KILL", "TYPE", "normal"),
}


@pytest.mark.parametrize("what", FORBIDDEN_TO_A_PRODUCER)
@pytest.mark.parametrize("inside_a_script", [False, True], ids=["directly", "in a script"])
def test_a_producer_cannot(guarded: Server, what: str, inside_a_script: bool) -> None:
    words = FORBIDDEN_TO_A_PRODUCER[what]
    client = client_of(guarded, "producer")
    if inside_a_script:
        quoted = ", ".join(f"'{word}'" for word in words)
        words = ("EVAL", f"return redis.call({quoted})", "0")
    with pytest.raises(
        redis.exceptions.ResponseError, match=r"(?i)permission|ACL failure|not allowed|NOPERM|unknown"
    ):
        client.execute_command(*words)
    client.close()


def test_a_producer_gets_a_clear_error_for_what_it_may_not_do(guarded: Server, queue: str) -> None:
    app = app_of(guarded, "producer", queue)
    app.tasks["echo"].delay("x")
    broker = Broker(SyncDriver(guarded.url_as("producer")))
    for command in (queues.pause(queue), queues.resume(queue)):
        with pytest.raises(errors.BrokerAuthError, match="the server refused"):
            broker.run(command)
    with pytest.raises(errors.BrokerAuthError):
        Inspector(broker).queues()
    broker.close()
    app.close()


def test_a_viewer_sees_everything_and_changes_nothing(
    guarded: Server, admin: redis.Redis, queue: str
) -> None:
    app = app_of(guarded, "producer", queue)
    waiting = app.tasks["echo"].delay("x")
    broker = Broker(SyncDriver(guarded.url_as("viewer")))
    viewer = Inspector(broker)
    admin.acl_log_reset()
    assert queue in viewer.queue_names()
    assert viewer.queue(queue).pending == 1
    assert viewer.history(queue)
    later = app.tasks["echo"].options(delay=60).delay("y")
    assert viewer.groups(queue) == []
    assert [task.id for task in viewer.tasks(queue, State.PENDING).tasks] == [waiting.id]
    for state in State:
        viewer.tasks(queue, state)
    assert viewer.task(queue, waiting.id).id == waiting.id
    assert viewer.find(waiting.id) == queue
    assert isinstance(viewer.servers(), list)
    stats = viewer.stats()
    assert not [one.problem for one in (*stats.queues, *stats.nodes) if one.problem]
    assert (
        TaskFlow("v", broker=guarded.url_as("viewer")).result(waiting.id, queue=queue).info().id == waiting.id
    )
    assert not denied(admin)

    before = snapshot(admin)
    for change in (
        lambda: viewer.pause(queue),
        lambda: viewer.resume(queue),
        lambda: viewer.remove(queue, force=True),
        lambda: viewer.purge(queue),
        lambda: viewer.run(queue, later.id),
        lambda: viewer.archive(queue, waiting.id),
        lambda: viewer.delete(queue, waiting.id),
        lambda: viewer.archive_all(queue, State.PENDING),
        lambda: viewer.cancel(waiting.id),
        lambda: app_of(guarded, "viewer", queue).tasks["echo"].delay("y"),
    ):
        with pytest.raises(errors.BrokerAuthError):
            change()
    assert snapshot(admin) == before
    broker.close()
    app.close()


def snapshot(admin: redis.Redis) -> dict[bytes, bytes | None]:
    return {key: admin.dump(key) for key in admin.scan_iter()}  # type: ignore[misc]


def test_an_operator_puts_queues_and_tasks_right(guarded: Server, admin: redis.Redis, queue: str) -> None:
    app = app_of(guarded, "producer", queue)
    echo = app.tasks["echo"]
    ids = [echo.options(delay=60).delay(str(number)).id for number in range(4)]
    broker = Broker(SyncDriver(guarded.url_as("operator")))
    operator = Inspector(broker)
    admin.acl_log_reset()
    assert operator.pause(queue)
    assert operator.resume(queue)
    operator.run(queue, ids[0])
    operator.archive(queue, ids[1])
    operator.delete(queue, ids[2])
    operator.run_all(queue, State.SCHEDULED)
    operator.archive_all(queue, State.PENDING)
    operator.delete_all(queue, State.ARCHIVED)
    operator.purge(queue)
    operator.remove(queue, force=True)
    operator.cancel(ids[0])
    assert operator.pause(queue, must_exist=False)
    operator.remove(queue)
    assert not denied(admin)
    with pytest.raises(errors.QueueNotFound):
        operator.queue(queue)
    broker.close()
    app.close()


@pytest.mark.parametrize("role", ["worker", "viewer", "operator"])
def test_nobody_touches_other_keys(guarded: Server, role: str) -> None:
    client = client_of(guarded, role)
    for words in (
        ("GET", "session:1"),
        ("SET", "session:1", "x"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
    ):
        with pytest.raises(redis.exceptions.ResponseError):
            client.execute_command(*words)
    client.close()


def test_the_users_work_on_a_cluster(cluster: Cluster, queue: str) -> None:
    """Every node has them; they may ask who owns which slot."""
    nodes = [redis.Redis(port=node.port) for node in cluster.nodes]
    for node in nodes:
        for role in acl.ROLES:
            node.execute_command(*shlex.split(role.setuser(PASSWORD)))

    def url(role: str) -> str:
        hosts = cluster.url.partition("://")[2]
        return f"redis+cluster://taskflow-{role}:{PASSWORD}@{hosts}"

    client = TaskFlow("client", broker=url("producer"), retention=60)

    @client.task(name="echo")
    def echo(secret: str) -> str:
        return secret

    names = [f"{queue}-{number}" for number in range(4)]
    broker = Broker(SyncDriver(url("viewer")))
    try:
        with WorkerProcess(
            "tests.security.app:plain", broker=url("worker"), queues=dict.fromkeys(names, 1), concurrency=2
        ) as process:
            handles = [echo.options(queue=name).delay(name) for name in names]
            assert [handle.get(20) for handle in handles] == names
            assert {one.name for one in Inspector(broker).queues()} >= set(names)
            assert Inspector(broker).cluster_queues(names)
            assert process.terminate() == 0
        assert not [line for line in process.log if "NOPERM" in line]
    finally:
        broker.close()
        client.close()
        for node in nodes:
            for role in acl.ROLES:
                node.acl_deluser(f"taskflow-{role.name}")
            node.close()
