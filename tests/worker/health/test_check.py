"""`taskflow worker --check` finds the workers of an app and a broker, wherever it is run and however they are spelt."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from taskflow.errors import InvalidBrokerURL, NotPrivate
from taskflow.worker.health.check import check
from taskflow.worker.health.health_file import HealthFile

WELL = {"ok": True, "why": [], "still": {}}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "runtime" / "taskflow"


def _file(pid: int | None = None, token: str = "t", **facts: object) -> HealthFile:
    known = {"app": "shop.tasks", "name": "shop", "queues": ["images", "mail"], "host": os.uname().nodename}
    brokers = ["redis+cluster://u:***@a:7000,127.0.0.1:7001"]
    return HealthFile({**known, "brokers": brokers, **facts}, pid or os.getpid(), token)


def test_a_worker_is_found_from_any_folder_and_by_any_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was named by the folder and by the letters of `-A`: a probe that ran elsewhere found no worker, and was red."""
    _file().write(WELL)
    here = os.getcwd()
    monkeypatch.chdir(tmp_path)
    for app in ("shop.tasks", "shop.tasks:app", "shop", None):
        for broker in (None, "redis+cluster://b:7000,a:7000", "redis+cluster://:secret@localhost:7001"):
            [found] = check(app, broker)
            assert (found.pid, found.well, found.text) == (os.getpid(), True, "all loops get on")
            assert (found.app, found.queues, found.folder) == ("shop.tasks", ("images", "mail"), here)
            assert found.broker == "redis+cluster://u:***@a:7000,127.0.0.1:7001"
    for app, broker in (
        ("other", None),
        ("shop.other", None),
        ("shop", "redis+cluster://c:7000"),
        ("shop", "redis://a:7000"),
        ("shop", "embedded://"),
    ):
        assert check(app, broker) == []
    with pytest.raises(InvalidBrokerURL):
        check("shop", "nonsense")


def test_two_attributes_of_one_module_are_two_apps() -> None:
    _file(app="shop.tasks:first", name="one", token="1").write(WELL)
    _file(app="shop.tasks:second", name="two", token="2").write(WELL)
    assert len(check("shop.tasks", None)) == 2
    assert [one.app for one in check("shop.tasks:second", None)] == ["shop.tasks:second"]


def test_what_is_wrong_is_said_and_news_that_are_old_too(monkeypatch: pytest.MonkeyPatch) -> None:
    file = _file()
    file.write({"ok": False, "why": ["fetcher of queue q has stood still for 25 s", "no child"], "still": {}})
    assert check("shop", None)[0].text == "fetcher of queue q has stood still for 25 s; no child"
    assert not check("shop", None)[0].well
    file.write({**WELL, "at": 0})
    assert "its event loop has stood still" in check("shop", None)[0].text
    file.remove()
    assert check("shop", None) == []


def test_what_a_killed_worker_left_is_removed_also_if_its_process_id_is_another_ones_now(
    folder: Path,
) -> None:
    """Its news grew old for ever, and a probe told of a worker that stood still where there was none."""
    _file(pid=2**22 + 1).write(WELL)
    _file(birth="0").write(WELL)
    for file in folder.iterdir():
        file.write_text(file.read_text().replace('"birth": "', '"birth": "1'))
    assert check(None, None) == []
    assert list(folder.iterdir()) == []


def test_a_worker_of_another_container_that_shares_the_folder_is_left_alone(folder: Path) -> None:
    _file(host="elsewhere").write(WELL)
    assert check(None, None) == []
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_somebody_else_prepared_is_neither_written_nor_believed(
    folder: Path, tmp_path: Path
) -> None:
    """A folder with mode 0777, or a link: a victim's file was overwritten, and a planted file was believed."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(NotPrivate, match="0777"):
        check(None, None)
    file = _file()
    file.write(WELL)  # where a service without a runtime directory writes
    assert list(folder.iterdir()) == []
    folder.rmdir()
    assert len(check(None, None)) == 1
    (tmp_path / f"taskflow-{os.geteuid()}").rename(tmp_path / "planted")
    (tmp_path / f"taskflow-{os.geteuid()}").symlink_to(tmp_path / "planted")
    with pytest.raises(NotPrivate, match="link"):
        check(None, None)
