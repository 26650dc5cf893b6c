"""`-A module[:attribute]`: what is found, and the one clear error when it is not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow.errors import AppNotFound
from taskflow.tasks.loader import load_app

Write = Callable[..., None]

APP = "from taskflow import TaskFlow\n{name} = TaskFlow({label!r}, broker='redis://127.0.0.1:1')\n"


def app_as(name: str, label: str = "") -> str:
    return APP.format(name=name, label=label or name)


@pytest.fixture
def write(project: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module into the current directory; what the test imports is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(project)])

    def write(path: str, *parts: str) -> None:
        file = project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(parts))
        importlib.invalidate_caches()

    def forget() -> None:
        for name in set(sys.modules) - before:
            if str(project) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]

    monkeypatch.setattr(write, "forget", forget, raising=False)
    return write


@pytest.fixture(autouse=True)
def _forgotten(write: Write) -> object:
    yield
    write.forget()  # type: ignore[attr-defined]


class TestFinds:
    @pytest.mark.parametrize("name", ["app", "taskflow", "application", "whatever"])
    def test_the_app_of_a_module_by_its_usual_name_or_because_it_is_the_only_one(
        self, write: Write, name: str
    ) -> None:
        write("m.py", "import taskflow\n" if name != "taskflow" else "", app_as(name))

        assert load_app("m").name == name

    @pytest.mark.parametrize("inside", ["celery", "taskflow", "app", "tasks"])
    def test_the_app_of_a_package_in_the_module_where_celery_looks_for_it(
        self, write: Write, inside: str
    ) -> None:
        """`celery -A proj worker` finds the app of `proj/celery.py`."""
        write(f"proj_{inside}/__init__.py")
        write(f"proj_{inside}/{inside}.py", app_as("app"))

        assert load_app(f"proj_{inside}").name == "app"

    def test_the_usual_name_among_several(self, write: Write) -> None:
        write("m.py", app_as("other"), app_as("app"))

        assert load_app("m").name == "app"

    def test_the_same_app_under_two_names_is_one(self, write: Write) -> None:
        write("m.py", app_as("shop"), "queue = shop\n")

        assert load_app("m").name == "shop"

    def test_an_attribute(self, write: Write) -> None:
        write("m.py", app_as("app"), app_as("other"), "class Box:\n    inner = other\n")

        assert load_app("m:other").name == "other"
        assert load_app("m:Box.inner").name == "other"

    def test_a_factory(self, write: Write) -> None:
        write("m.py", app_as("_app", "made"), "def create_app():\n    return _app\n")

        assert load_app("m:create_app()").name == "made"

    @pytest.mark.parametrize(
        "spec", ["m", "m:create_app", "m:create_app()", "m:create_app('made', debug=True)"]
    )
    def test_a_factory_without_its_parentheses_by_its_usual_name_or_with_literals(
        self, write: Write, spec: str
    ) -> None:
        """As Flask's command and gunicorn take it; Celery needs a `make_celery.py`."""
        write(
            "m.py",
            "from taskflow import TaskFlow\ndef create_app(name='made', debug=False):\n    return TaskFlow(name)\n",
        )

        assert load_app(spec).name == "made"

    def test_what_has_an_app_as_an_application_of_a_framework_has_it(self, write: Write) -> None:
        """Among what a module imports may be a stand-in that raises whatever it is asked for, as Flask's `current_app` is."""
        write(
            "m.py",
            app_as("_app", "made"),
            "class Site: ...\n",
            "class Nothing:\n    def __getattr__(self, name): raise RuntimeError('outside of a context')\n",
            "current_app, site = Nothing(), Site()\nsite.__taskflow__, _app = _app, None\n",
        )

        assert load_app("m").name == load_app("m:site").name == "made"

    def test_the_factory_of_a_package_is_asked_when_none_of_its_modules_has_an_app(
        self, write: Write
    ) -> None:
        factory = "from taskflow import TaskFlow\ndef create_app():\n    return TaskFlow('made')\n"
        write("with_app/__init__.py", factory)
        write("with_app/celery.py", app_as("app"))
        write("without/__init__.py", factory)
        write("without/tasks.py", "x = 1\n")

        assert (load_app("with_app").name, load_app("without").name) == ("app", "made")

    @pytest.mark.parametrize("spec", ["shop.jobs", "shop/jobs.py", "./shop/jobs.py", "shop.jobs:app"])
    def test_a_module_of_a_package_in_the_current_directory(self, write: Write, spec: str) -> None:
        write("shop/__init__.py")
        write("shop/jobs.py", app_as("app"))

        assert load_app(spec).name == "app"

    def test_what_it_includes_is_imported(self, write: Write) -> None:
        write("m.py", "from taskflow import TaskFlow\napp = TaskFlow('a', include=['more'])\n")
        write("more.py", "from m import app\n@app.task\ndef task() -> None: ...\n")

        assert list(load_app("m").tasks) == ["more.task"]


class TestRefuses:
    def refuses(self, spec: str, *words: str) -> AppNotFound:
        with pytest.raises(AppNotFound) as caught:
            load_app(spec)
        for word in (repr(spec), *words):
            assert word in str(caught.value)
        return caught.value

    @pytest.mark.parametrize("spec", ["", ":app", "a b", "1a", "a..b", "-x"])
    def test_what_names_no_module(self, write: Write, spec: str) -> None:
        self.refuses(spec, "module:attribute")

    def test_a_module_that_does_not_exist(self, write: Write, project: Path) -> None:
        self.refuses("nothing_here", "no module 'nothing_here'", str(project), "run the command where")

    def test_a_module_that_does_not_exist_in_a_package(self, write: Write) -> None:
        write("shop/__init__.py")

        self.refuses("shop.jobs", "no module 'shop.jobs'")

    def test_a_module_that_imports_what_does_not_exist(self, write: Write) -> None:
        """The missing one is named, not the one that -A names."""
        write("m.py", "import nothing_here\n", app_as("app"))

        error = self.refuses("m", "importing 'm' failed", "nothing_here")

        assert isinstance(error.__cause__, ModuleNotFoundError)

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("1 / 0", "ZeroDivisionError: division by zero"),
            ("def", "SyntaxError"),
            ("import sys; sys.exit('not today')", "SystemExit: not today"),
            ("raise RuntimeError('no settings')", "RuntimeError: no settings"),
        ],
    )
    def test_a_module_that_fails(self, write: Write, line: str, words: str) -> None:
        write("m.py", line + "\n")

        assert self.refuses("m", "importing 'm' failed", words).__cause__ is not None

    def test_an_included_module_that_does_not_exist(self, write: Write) -> None:
        write("m.py", "from taskflow import TaskFlow\napp = TaskFlow('a', include=['more'])\n")

        self.refuses("m", "no module 'more'")

    def test_a_module_without_an_app(self, write: Write) -> None:
        write("m.py", "x = 1\n")

        self.refuses("m", "has no TaskFlow app", "app = TaskFlow(...)")

    def test_a_module_with_several_apps(self, write: Write) -> None:
        write("m.py", app_as("one"), app_as("two"))

        self.refuses("m", "several apps", "m:one", "m:two")

    def test_an_attribute_that_does_not_exist(self, write: Write) -> None:
        write("m.py", app_as("shop"))

        self.refuses("m:app", "no attribute 'app'", "it has shop")

    def test_an_attribute_that_is_no_app(self, write: Write) -> None:
        write("m.py", "def app(): ...\nnumber = 7\n")

        self.refuses("m:number", "'number' is a int", "not a TaskFlow app")
        self.refuses("m:app", "'app()' is a NoneType")
        self.refuses("m:app()", "'app()' is a NoneType")

    def test_a_factory_that_cannot_be_called_so(self, write: Write) -> None:
        write("m.py", "def create_app(settings): ...\n")

        self.refuses(
            "m",
            "create_app() cannot be called so (missing a required argument: 'settings')",
            "m:create_app('…')",
        )

    @pytest.mark.parametrize("call", ["create(", "create(os.name)", "create(**{})", "create()()", "[1]"])
    def test_what_is_neither_a_name_nor_a_call_with_literals(self, write: Write, call: str) -> None:
        write("m.py", "def create(*given): ...\n")

        self.refuses(f"m:{call}", "stands a name, or a call with literals")

    def test_a_factory_that_fails(self, write: Write) -> None:
        write("m.py", "def create():\n    raise RuntimeError('no settings')\n")

        error = self.refuses("m:create()", "calling create() failed", "RuntimeError: no settings")

        assert isinstance(error.__cause__, RuntimeError)


def test_an_app_in_a_module_named_like_one_of_the_standard_library_is_refused(project: Path) -> None:
    """The standard library's is found first, and has no app."""
    (project / "queue.py").write_text("from taskflow import TaskFlow\napp = TaskFlow()\n")
    with pytest.raises(AppNotFound, match="'queue' is a module of Python's standard library; rename yours"):
        load_app("queue:app")


def test_the_current_directory_comes_before_what_is_installed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["/usr/lib/python3", "/usr/lib/python3/site-packages", *sys.path])
    (project / "a_project_of_ours.py").write_text("from taskflow import TaskFlow\napp = TaskFlow()\n")
    load_app("a_project_of_ours")
    assert sys.path[:3] == ["/usr/lib/python3", str(project), "/usr/lib/python3/site-packages"]
