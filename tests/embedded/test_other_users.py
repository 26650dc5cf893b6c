"""Other users of the machine: what they may have put into a directory says nothing about our server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from taskflow import embedded
from taskflow.embedded import EmbeddedConfig, process
from taskflow.embedded.layout import Layout
from taskflow.embedded.manifest import Manifest
from taskflow.errors import EmbeddedServerError, NotPrivate
from tests.servers import wait_until

STRANGER = 54321
"""A user who is not us."""


def plant(directory: Path) -> None:
    """A directory as another user would make it before we do: it says that a server of his is ours."""
    directory.mkdir()
    manifest = Manifest(1, ports=(6379,), password=True, formed=True)
    (directory / "taskflow.json").write_text(json.dumps({"version": 1, **asdict(manifest)}))
    (directory / "password").write_text("planted-password\n")
    (directory / "node-0").mkdir()


def owned_by_another(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)


def open_to_all(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.chmod(0o777)


def open_to_the_group(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.chmod(0o775)


def manifest_is_a_link(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "taskflow.json").rename(directory.parent / "theirs")
    (directory / "taskflow.json").symlink_to(directory.parent / "theirs")


def manifest_is_open(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "taskflow.json").chmod(0o666)


def password_is_a_link(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "password").unlink()
    (directory / "password").symlink_to("/etc/hostname")


def password_is_open(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "password").chmod(0o622)


@pytest.mark.parametrize(
    "make",
    [
        owned_by_another,
        open_to_all,
        open_to_the_group,
        manifest_is_a_link,
        manifest_is_open,
        password_is_a_link,
        password_is_open,
    ],
)
def test_a_directory_that_somebody_else_may_have_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    """`embedded:///tmp/shop` used whatever another user had put there: his port, his password, so his server, which saw
    every argument and could answer with tasks of his own."""
    config = EmbeddedConfig(tmp_path / "data")
    plant(config.directory)
    make(config.directory, monkeypatch)
    before = sorted(path.name for path in config.directory.rglob("*"))
    for use in (embedded.ensure, embedded.url, embedded.status):
        with pytest.raises(NotPrivate, match=r"data.* so nothing is read or written there"):
            use(config)
    if "password" not in make.__name__:
        with pytest.raises(NotPrivate):
            embedded.stop(config)
    assert sorted(path.name for path in config.directory.rglob("*")) == before


@pytest.mark.parametrize("name", ["start.lock", "node-0", "node-0/alive.lock", "node-0/server.log"])
def test_a_link_among_the_files_is_not_followed(directory: Path, tmp_path: Path, name: str) -> None:
    """From the time when the directory was open to others, there may be a link to a file of ours in it: it was written to."""
    config = EmbeddedConfig(directory)
    victim = tmp_path / "victim"
    if name == "node-0":
        victim.mkdir()
    else:
        victim.write_text("precious")
    (directory / name).parent.mkdir(parents=True)
    (directory / name).symlink_to(victim)
    with pytest.raises((NotPrivate, EmbeddedServerError)):
        embedded.ensure(config)
    assert not list(victim.iterdir()) if victim.is_dir() else victim.read_text() == "precious"


def test_a_directory_of_the_socket_that_is_somebody_elses_is_not_used(
    config: EmbeddedConfig, runtime_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot `/tmp/taskflow-<uid>` is anybody's to make. What our files remember of a socket there is not asked, and the
    password not told to it."""
    run = runtime_directory / "session"
    run.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    embedded.ensure(config)
    (node,) = embedded.status(config).nodes
    assert node.socket is not None
    theirs = Path(node.socket)
    assert theirs.parent == run / "taskflow"
    theirs.parent.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as stranger:
        theirs.unlink()
        stranger.bind(node.socket)
        stranger.listen()
        stranger.settimeout(0)
        assert embedded.status(config).nodes[0].answer == "silent"
        with pytest.raises(EmbeddedServerError, match="no server runs"):
            embedded.url(config)
        with pytest.raises(NotPrivate, match="mode 0777"):
            embedded.ensure(config)
        with pytest.raises(BlockingIOError):
            stranger.accept()
    elsewhere = runtime_directory / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(elsewhere))
    assert str(elsewhere) in embedded.ensure(config)


def test_a_session_directory_that_others_may_write_to_is_not_used(
    config: EmbeddedConfig, runtime_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could put another directory in the place of ours while we work with it."""
    run = runtime_directory / "open"
    run.mkdir()
    run.chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    assert str(run) not in str(Layout.of(config.directory).socket())
    assert not list(run.iterdir())


def test_a_process_of_somebody_else_is_not_our_server(
    config: EmbeddedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can start a process whose command line names our configuration; it would have been told the password."""
    files = Layout.of(config.directory).node(0)
    files.folder.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", str(files.conf)], stdin=subprocess.PIPE
    ) as stranger:
        files.pid.write_text(f"{stranger.pid}\n")
        wait_until(lambda: process.find(files) == stranger.pid, description="its command line can be read")
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
        assert process.find(files) is None
        stranger.communicate()
