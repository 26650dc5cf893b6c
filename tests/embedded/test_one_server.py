"""One embedded server: found or started, private, detached, and the same after a restart."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from taskflow import embedded
from taskflow.embedded import EmbeddedConfig
from taskflow.errors import EmbeddedServerError
from tests.embedded.support import ENSURE, client_of, free_ports, kill, pids, processes_of, python
from tests.servers import wait_until


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_server_is_started_once(config: EmbeddedConfig) -> None:
    url = embedded.ensure(config)
    first = pids(config)
    assert embedded.ensure(config) == url == embedded.url(config)
    assert pids(config) == first == processes_of(config.directory)


def test_the_url_is_the_one_of_redis_py(config: EmbeddedConfig) -> None:
    with redis.Redis.from_url(embedded.ensure(config), decode_responses=True) as client:
        assert client.ping()
        settings = client.config_get("*")
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["protected-mode"] == "yes"
    assert settings["enable-debug-command"] == "no"
    assert settings["bind"] == "127.0.0.1"
    assert settings["port"] == "0"


def test_nobody_comes_in_without_the_password(config: EmbeddedConfig, runtime_directory: Path) -> None:
    url = embedded.ensure(config)
    (node,) = embedded.status(config).nodes
    assert node.socket is not None
    with (
        redis.Redis(unix_socket_path=node.socket, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    password = config.directory / "password"
    assert password.read_text().strip() in url
    assert len(password.read_text().strip()) >= 32
    assert _mode(password) == _mode(config.directory / "node-0" / "server.conf") == 0o600
    assert _mode(config.directory) == _mode(Path(node.socket).parent) == _mode(Path(node.socket)) == 0o700
    assert Path(node.socket).is_relative_to(runtime_directory)
    # Nor is it in what everybody may read of a process.
    assert password.read_text().strip().encode() not in Path(f"/proc/{node.pid}/cmdline").read_bytes()


def test_without_a_password_every_program_comes_in(directory: Path) -> None:
    port = free_ports(1)
    config = EmbeddedConfig(directory, port=port, password=False)
    assert embedded.ensure(config) == f"redis://127.0.0.1:{port}/0"
    with redis.Redis(port=port) as client:
        assert client.ping()
    assert embedded.ensure(EmbeddedConfig(directory)) == f"redis://127.0.0.1:{port}/0"


def test_processes_that_start_it_at_once_get_one_server(config: EmbeddedConfig) -> None:
    starters = [python(ENSURE, str(config.directory)) for _ in range(3)]
    answers = [starter.communicate(timeout=60) for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], answers
    assert {out.strip() for out, _ in answers} == {embedded.url(config)}
    assert len(processes_of(config.directory)) == 1


def test_the_server_outlives_its_starter_and_keeps_nothing_of_it(config: EmbeddedConfig) -> None:
    starter = python(ENSURE, str(config.directory))
    # communicate() returns when nobody holds the pipes any more: the server does not.
    out, err = starter.communicate(timeout=60)
    assert starter.returncode == 0, err
    (pid,) = pids(config)
    assert pid is not None
    assert embedded.url(config) == out.strip()
    assert os.getsid(pid) not in (os.getsid(0), starter.pid)
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}


def test_a_restart_keeps_data_port_and_password(directory: Path) -> None:
    config = EmbeddedConfig(directory, port=free_ports(1))
    url = embedded.ensure(config)
    with redis.Redis.from_url(url) as client:
        client.set("key", "value")
    assert embedded.stop(config) == 1
    assert embedded.ensure(EmbeddedConfig(directory)) == url
    with redis.Redis.from_url(url) as client:
        assert client.get("key") == b"value"


def test_a_stopped_server_may_move_to_another_port_and_a_running_one_not(config: EmbeddedConfig) -> None:
    with redis.Redis.from_url(embedded.ensure(config)) as client:
        client.set("key", "value")
    port = free_ports(1)
    moved = EmbeddedConfig(config.directory, port=port)
    with pytest.raises(EmbeddedServerError, match="already runs on a unix socket"):
        embedded.ensure(moved)
    embedded.stop(config)
    with redis.Redis.from_url(embedded.ensure(moved)) as client:
        assert client.connection_pool.connection_kwargs["port"] == port
        assert client.get("key") == b"value"


def test_a_killed_server_is_seen_and_started_again_with_its_data(config: EmbeddedConfig) -> None:
    url = embedded.ensure(config)
    with redis.Redis.from_url(url) as client:
        client.set("key", "value")
    (pid,) = pids(config)
    assert pid is not None
    kill(pid)
    status = embedded.status(config)
    assert not status.running
    assert status.problem == "not running"
    assert (status.nodes[0].alive, status.nodes[0].answer) == (False, "down")
    assert embedded.ensure(config) == url
    with redis.Redis.from_url(url) as client:
        assert client.get("key") == b"value"


def test_stop_ends_it_and_says_how_many(config: EmbeddedConfig) -> None:
    assert embedded.stop(config) == 0
    embedded.ensure(config)
    (node,) = embedded.status(config).nodes
    assert embedded.stop(config) == 1
    assert embedded.stop(config) == 0
    assert processes_of(config.directory) == []
    assert not Path(node.socket or "").exists()
    with pytest.raises(EmbeddedServerError, match="no server runs"):
        embedded.url(config)


def test_nothing_is_created_by_looking(config: EmbeddedConfig) -> None:
    status = embedded.status(config)
    assert (status.running, status.nodes) == (False, ())
    with pytest.raises(EmbeddedServerError, match="no server runs"):
        embedded.url(config)
    assert not config.directory.exists()


def test_two_names_of_a_directory_are_one_server(config: EmbeddedConfig, tmp_path: Path) -> None:
    url = embedded.ensure(config)
    link = tmp_path / "link"
    link.symlink_to(config.directory)
    assert embedded.ensure(EmbeddedConfig(link)) == url
    assert embedded.stop(EmbeddedConfig(link)) == 1


def test_a_server_without_its_pid_file_is_found(config: EmbeddedConfig) -> None:
    embedded.ensure(config)
    first = pids(config)
    (config.directory / "node-0" / "server.pid").unlink()
    embedded.ensure(config)
    assert pids(config) == first
    assert embedded.stop(config) == 1


def test_a_server_whose_socket_vanished_is_replaced(config: EmbeddedConfig) -> None:
    """A session's runtime directory goes away when the user logs out; the detached server stays behind."""
    url = embedded.ensure(config)
    with redis.Redis.from_url(url) as client:
        client.set("key", "value")
    first = pids(config)
    Path(embedded.status(config).nodes[0].socket or "").unlink()
    with redis.Redis.from_url(embedded.ensure(config)) as client:
        assert client.get("key") == b"value"
    assert pids(config) != first
    assert len(processes_of(config.directory)) == 1


def test_a_long_runtime_directory_is_avoided(
    config: EmbeddedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    with redis.Redis.from_url(embedded.ensure(config)) as client:
        assert client.ping()
    assert f"/tmp/taskflow-{os.geteuid()}/" in embedded.url(config)
    embedded.stop(config)


def test_strange_names_of_directories_work(tmp_path: Path) -> None:
    config = EmbeddedConfig(tmp_path / "data" / 'a "b" ünï\\c#')
    try:
        with redis.Redis.from_url(embedded.ensure(config)) as client:
            assert client.ping()
    finally:
        assert embedded.stop(config) == 1


def test_a_node_can_be_asked(config: EmbeddedConfig) -> None:
    url = embedded.ensure(config)
    (node,) = embedded.status(config).nodes
    with client_of(node, url) as client:
        assert client.info("server")["process_id"] == node.pid
    wait_until(lambda: embedded.status(config).problem is None, description="it is ready")
