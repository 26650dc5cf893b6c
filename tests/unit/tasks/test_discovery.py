"""`app.autodiscover_tasks`: modules with tasks are found where Celery's users expect it, or it is said that they are not."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow import TaskFlow
from taskflow.errors import ConfigurationError, TaskNotRegistered
from tests.workers import ROOT

NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
def shop(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `shop` with a task and a Django `AppConfig` (or what looks like one), a package `blog` without tasks."""
    monkeypatch.syspath_prepend(str(project))
    write(
        project / "main_app.py",
        "from taskflow import TaskFlow\napp = TaskFlow('shop', broker='redis://127.0.0.1:1')\n",
    )
    write(project / "shop" / "__init__.py", "")
    write(project / "shop" / "apps.py", "class ShopConfig:\n    name = 'shop'\n")
    write(
        project / "shop" / "tasks.py",
        "from main_app import app\n@app.task(name='shop:sell')\ndef sell() -> None: ...\n",
    )
    write(project / "blog" / "__init__.py", "")
    yield project
    for name in [name for name in sys.modules if name.split(".")[0] in ("main_app", "shop", "blog")]:
        del sys.modules[name]


def write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def app_of(shop: Path) -> TaskFlow:
    assert shop.exists()
    import main_app  # type: ignore[import-not-found]  # written by the fixture

    app: TaskFlow = main_app.app
    return app


@pytest.mark.parametrize("entry", ["shop", "shop.apps.ShopConfig"])
def test_a_package_is_found_by_its_name_and_by_its_django_app_config(shop: Path, entry: str) -> None:
    """`autodiscover_tasks(settings.INSTALLED_APPS)` passed over `shop.apps.ShopConfig`, which is what Django's own documentation
    tells users to write: its tasks were unknown to the worker, and nothing said so.
    """
    app = app_of(shop)

    app.autodiscover_tasks(["blog", entry])

    assert "shop:sell" in app.tasks


def test_a_package_that_does_not_exist_is_named(shop: Path) -> None:
    """A misspelt package was passed over like one without tasks."""
    for entry in ("shpo", "shop.apps.ShpoConfig", "shop.app.ShopConfig"):
        with pytest.raises(ConfigurationError, match=f"no package '{entry}'"):
            app_of(shop).autodiscover_tasks([entry])


def test_what_a_module_of_tasks_cannot_import_is_not_passed_over(shop: Path) -> None:
    (shop / "shop" / "tasks.py").write_text("import no_such_module\n")

    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        app_of(shop).autodiscover_tasks(["shop"])


def test_another_module_and_the_package_itself_can_be_asked_for(shop: Path) -> None:
    app = app_of(shop)
    (shop / "blog" / "__init__.py").write_text(
        "from main_app import app\n@app.task(name='blog:post')\ndef post() -> None: ...\n"
    )

    app.autodiscover_tasks(["blog"], related_name=None)
    app.autodiscover_tasks("shop", "apps")

    assert "blog:post" in app.tasks
    assert "shop.apps" in sys.modules


def test_a_function_is_called_when_the_tasks_are_needed(shop: Path) -> None:
    """Celery's `autodiscover_tasks(lambda: settings.INSTALLED_APPS)`: where it is written, the settings are not there yet."""
    app = app_of(shop)
    asked: list[str] = []

    app.autodiscover_tasks(lambda: asked.append("now") or ["shop"])  # type: ignore[func-returns-value]
    assert not asked

    assert app.get_task("shop:sell").name == "shop:sell"
    with pytest.raises(TaskNotRegistered):
        app.get_task("shop:buy")
    assert asked == ["now"]

    app.autodiscover_tasks(lambda: asked.append("at once") or ["blog"], force=True)  # type: ignore[func-returns-value]
    assert asked[-1] == "at once"


def test_without_packages_and_without_django_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    monkeypatch.delitem(sys.modules, "django.conf", raising=False)

    with pytest.raises(ConfigurationError, match=r"DJANGO_SETTINGS_MODULE, or name the packages"):
        TaskFlow("shop", broker=NOWHERE).autodiscover_tasks()


def test_without_packages_a_worker_finds_the_tasks_of_the_apps_that_django_has_installed(shop: Path) -> None:
    """It was a TypeError. The app is declared, as in Celery's documentation, in a module that is imported before Django is set
    up; the worker sets Django up when it has loaded the app.
    """
    write(shop / "settings.py", "INSTALLED_APPS = ['shop.apps.ShopConfig', 'blog']\nUSE_TZ = True\n")
    write(
        shop / "shop" / "apps.py",
        "from django.apps import AppConfig\nclass ShopConfig(AppConfig):\n    name = 'shop'\n",
    )
    with (shop / "main_app.py").open("a") as file:
        file.write(
            "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings')\napp.autodiscover_tasks()\n"
        )
    program = """
        import main_app
        assert not main_app.app.tasks
        from taskflow.tasks.loader import load_app
        print(sorted(load_app("main_app").tasks))
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=shop,
        env={"PYTHONPATH": f"{ROOT}:{shop}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.stdout.strip(), done.stderr) == ("['shop:sell']", "")
