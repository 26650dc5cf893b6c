"""Which project a program belongs to: where programs meet that were given no broker."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from taskflow import project
from taskflow.project import Project, is_of_a_project, is_test_run, project_of


@pytest.fixture(autouse=True)
def _anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of the test's own, in which nobody tests."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(project, "is_test_run", lambda: False)
    project._folder.cache_clear()


def written(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


@pytest.mark.parametrize("mark", ["pyproject.toml", "manage.py", ".git"])
def test_what_has_a_mark_above_it_belongs_to_that_folder(tmp_path: Path, mark: str) -> None:
    """Wherever in the project the app is made, and whatever the current directory is: a web process and a worker have to meet."""
    written(tmp_path / "work" / "shop" / mark)
    deep, flat = (
        written(tmp_path / "work" / "shop" / "src" / "shop" / "tasks.py"),
        tmp_path / "work" / "shop" / "app.py",
    )

    found = project_of(deep)

    assert found == project_of(str(flat))
    assert found.folder == tmp_path / "work" / "shop"
    assert found.directory.parent == tmp_path / "home" / ".local" / "share" / "taskflow" / "projects"
    assert found.directory.name.startswith("shop-")
    assert found.url == f"embedded://{found.directory}"


def test_without_a_mark_it_is_where_the_package_lies(tmp_path: Path) -> None:
    """What stands on Python's path, so where the command is run."""
    deep = written(tmp_path / "work" / "shop" / "tasks" / "mail.py")
    for folder in ("shop", "shop/tasks"):
        written(tmp_path / "work" / folder / "__init__.py")

    assert project_of(deep).folder == tmp_path / "work"
    assert project_of(written(tmp_path / "alone" / "tasks.py")).folder == tmp_path / "alone"


def test_two_folders_of_one_name_are_two_projects(tmp_path: Path) -> None:
    one, other = (project_of(written(tmp_path / name / "shop" / "tasks.py")) for name in ("one", "other"))
    assert one.folder.name == other.folder.name == "shop"
    assert one.directory != other.directory


def test_a_link_to_a_project_is_the_project(tmp_path: Path) -> None:
    written(tmp_path / "shop" / "pyproject.toml")
    (tmp_path / "link").symlink_to(tmp_path / "shop")
    assert project_of(str(tmp_path / "link" / "app.py")) == project_of(str(tmp_path / "shop" / "app.py"))


def test_a_home_under_version_control_is_nobodys_project(tmp_path: Path) -> None:
    """All that one ever wrote would share one server again."""
    written(tmp_path / "home" / ".git")
    assert project_of(written(tmp_path / "home" / "shop" / "tasks.py")).folder == tmp_path / "home" / "shop"
    everybodys = tmp_path / "tmp"
    written(everybodys / "setup.py")
    everybodys.chmod(0o1777)
    assert project_of(written(everybodys / "try" / "tasks.py")).folder == everybodys / "try"


def test_at_a_prompt_the_current_directory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "shop" / "pyproject.toml")
    (tmp_path / "shop" / "notes").mkdir()
    monkeypatch.chdir(tmp_path / "shop" / "notes")
    assert project_of(None).folder == tmp_path / "shop"


def test_an_app_that_is_installed_belongs_to_its_environment(tmp_path: Path) -> None:
    file = written(tmp_path / "venv" / "lib" / "site-packages" / "shop" / "tasks.py")
    assert project_of(file).folder == Path(sys.prefix).resolve()


def test_a_test_run_has_a_server_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It enqueued into the development server, where the worker in the other terminal sent real mail."""
    file = written(tmp_path / "shop" / "tasks.py")
    usual = project_of(file)
    monkeypatch.setattr(project, "is_test_run", lambda: True)
    testing = project_of(file)

    assert (usual.folder, usual.is_test, testing.is_test) == (testing.folder, False, True)
    assert usual.directory != testing.directory
    assert is_of_a_project(usual.directory)
    assert not is_of_a_project(testing.directory)


def test_test_runs_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_test_run(), "this is one"
    monkeypatch.delitem(sys.modules, "pytest")
    for name in ("PYTEST_VERSION", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=None))
    monkeypatch.delitem(sys.modules, "django", raising=False)
    assert not is_test_run()
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "a program that a test has started")
    assert is_test_run()
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setitem(
        sys.modules, "__main__", SimpleNamespace(__spec__=SimpleNamespace(name="unittest.__main__"))
    )
    assert is_test_run()
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=None))
    monkeypatch.setitem(sys.modules, "django", SimpleNamespace())
    monkeypatch.setattr(sys, "argv", ["manage.py", "test", "shop"])
    assert is_test_run()
    monkeypatch.setattr(sys, "argv", ["manage.py", "runserver"])
    assert not is_test_run()


def test_the_url_can_hold_any_folder() -> None:
    found = Project(Path("/a b"), Path("/home/ünï/a#b?c"), is_test=False)
    assert found.url == "embedded:///home/%C3%BCn%C3%AF/a%23b%3Fc"
