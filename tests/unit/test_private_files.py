"""Folders that are shared with other users of the machine: what is not ours alone is neither read nor written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskflow.errors import NotPrivate
from taskflow.private_files import PrivateDirectory


def test_a_folder_is_made_for_its_owner_alone_and_its_files_too(tmp_path: Path) -> None:
    with PrivateDirectory(tmp_path / "above" / "mine") as mine:
        mine.write("state", b"one")
        mine.write("state", b"two")
        assert mine.read("state") == b"two"
        assert mine.names() == ["state"]
        mine.remove("state")
        mine.remove("state")
        assert mine.names() == []
    assert (tmp_path / "above" / "mine").stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """Anybody may make `/tmp/taskflow-1000` as a link to a folder of the victim: its files would be overwritten."""
    (tmp_path / "victim").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(NotPrivate, match="is a link or a file"):
        PrivateDirectory(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(NotPrivate, match="is a link or a file"):
        PrivateDirectory(tmp_path / "file")
    (tmp_path / "nowhere").symlink_to(tmp_path / "not there")
    with pytest.raises(NotPrivate, match="is a link or a file"):
        PrivateDirectory(tmp_path / "nowhere")


def test_a_folder_that_others_may_write_to_is_refused_and_one_they_may_read_is_closed(tmp_path: Path) -> None:
    """What stands in the first may have been put there by anybody; what stands in the second is ours."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(NotPrivate, match="mode 0777"):
        PrivateDirectory(tmp_path / "open")
    (tmp_path / "readable").mkdir()
    (tmp_path / "readable").chmod(0o755)
    PrivateDirectory(tmp_path / "readable", tighten=False).close()
    assert (tmp_path / "readable").stat().st_mode & 0o777 == 0o755
    PrivateDirectory(tmp_path / "readable").close()
    assert (tmp_path / "readable").stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(NotPrivate, match="another user"):
        PrivateDirectory(tmp_path / "theirs")


def test_a_link_among_its_files_is_neither_read_nor_written_through(tmp_path: Path) -> None:
    """The folder may once have been open to others, who left a link to a file of the victim's."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with PrivateDirectory(tmp_path / "mine") as mine:
        (tmp_path / "mine" / "state").symlink_to(victim)
        with pytest.raises(NotPrivate, match="is a link"):
            mine.read("state")
        mine.write("state", b"new")
        assert mine.read("state") == b"new"
        os.mkfifo(tmp_path / "mine" / "pipe")
        with pytest.raises(NotPrivate, match="plain file"):
            mine.read("pipe")
        (tmp_path / "mine" / "shared").touch()
        (tmp_path / "mine" / "shared").chmod(0o666)
        with pytest.raises(NotPrivate, match="mode 0666"):
            mine.read("shared")
    assert victim.read_text() == "precious"
