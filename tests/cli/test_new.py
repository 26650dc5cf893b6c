"""`taskflow new`: what it writes runs, passes its own tests, and can be deployed; and nothing that is there is overwritten."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from taskflow.cli import new_project
from taskflow.cli.main import main
from taskflow.cli.new_project import KINDS, TEMPLATES, rendered
from tests.contrib.web import STRICT, serve
from tests.servers import Server, wait_until
from tests.test_examples_docs import parse, taskflow_commands
from tests.workers import WorkerProcess

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
QUICK = {
    "PYTHONPATH": str(ROOT),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "taskflow.testing.plugin",
}
"""The plugins of our own tests, of which a new project has none, cost as much as its tests do."""

each_kind = pytest.mark.parametrize("kind", sorted(KINDS))


@dataclass(frozen=True)
class Story:
    """What a newcomer does with a project of a kind, by its README.

    Args:
        asks: the path of a request that enqueues, and its form; None: it has no web server.
            shows: what the other view shows when the worker is done.
        tests: the command of its tests.
        first: what comes before all that.
    """

    asks: tuple[str, dict[str, str]] | None = None
    shows: dict[str, Any] = field(default_factory=dict)
    tests: str = "pytest -q"
    first: str = ""


STORIES = {
    "plain": Story(),
    "flask": Story(
        ("/count", {"text": "one two three"}),
        {"state": "completed", "words": 3},
    ),
    "fastapi": Story(
        ("/count?text=one+two+three", {}),
        {"state": "completed", "words": 3},
    ),
    "django": Story(
        ("/texts/", {"body": "one two three"}),
        {"words": 3},
        tests="python manage.py test",
        first="python manage.py migrate",
    ),
}


def new(*arguments: str) -> Result:
    """The command, in the current directory."""
    return CliRunner().invoke(main, ["new", *arguments])


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project of each kind: what they write costs Django's own command a second."""
    folder = tmp_path_factory.mktemp("projects")
    for kind in KINDS:
        (folder / kind).mkdir()
        new_project.create("shop", kind, folder / kind)
    return folder


def project_of(projects: Path, kind: str) -> Path:
    return projects / kind / "shop"


def types(project: Path, command: str, environment: dict[str, str]) -> str:
    """What a newcomer types, and is to succeed."""
    program, *rest = shlex.split(command)
    done = subprocess.run(
        [sys.executable if program == "python" else str(BIN / program), *rest],
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def web_command(project: Path) -> list[str]:
    """That of its compose file, as a module of Python's, on another port."""
    command = yaml.safe_load((project / "compose.yaml").read_text())["services"]["web"]["command"]
    return ["-m", *(word.replace("0.0.0.0", "127.0.0.1").replace("8000", "PORT") for word in command)]


# --- what runs ----------------------------------------------------------------------------------------------


@each_kind
def test_a_projects_own_tests_pass(projects: Path, kind: str) -> None:
    """As they are typed in its README."""
    story = STORIES[kind]
    said = types(project_of(projects, kind), story.tests, QUICK)
    assert re.search(r"[34] passed|Ran 3 tests", said), said


@each_kind
def test_a_project_runs(projects: Path, kind: str, valkey: Server) -> None:
    """The web server of its compose file enqueues, its worker runs the task, and the result is shown; nothing warns."""
    story, project = STORIES[kind], project_of(projects, kind)
    environment = {**STRICT, "TASKFLOW_BROKER": valkey.url}
    if story.first:
        types(project, story.first, environment)
    app = KINDS[kind].app.format(name="shop")
    with WorkerProcess(app, directory=project, environment=environment, concurrency=2) as worker:
        if story.asks:
            path, form = story.asks
            # gunicorn and uvicorn leave their listening sockets to the end of the process.
            calm = {**environment, "PYTHONWARNINGS": "error,ignore::ResourceWarning"}
            with serve(project, web_command(project), calm) as web:
                status, answer = web.post(path, **form)
                assert status == 202
                wait_until(
                    lambda: web.get(answer["result"]) == (200, story.shows), description="the result is shown"
                )
                assert web.get("/healthz") == (200, {"ok": True})
        else:
            counted = [
                line.split()[-1] for line in types(project, "python -m shop", environment).splitlines()
            ]
            assert counted == ["1", "2", "3"]
            (call,) = re.findall(r"(?m)^    (taskflow call .*)$", (project / "README.md").read_text())
            assert types(project, call, environment).startswith("5\n")
        assert worker.terminate() == 0
        assert not [line for line in worker.log if "Warning" in line or "Traceback" in line]


def test_django_sees_no_change_that_wants_a_migration(projects: Path) -> None:
    project = project_of(projects, "django")
    types(project, "python manage.py makemigrations --check --dry-run", {"PYTHONPATH": str(ROOT)})


# --- what is written ----------------------------------------------------------------------------------------


@each_kind
def test_the_commands_of_the_readme_and_of_the_files_exist(projects: Path, kind: str) -> None:
    project = project_of(projects, kind)
    lines = re.findall(r"(?m)^    (taskflow .*)$", (project / "README.md").read_text())
    assert lines
    lines += re.findall(r"(?m)^ExecStart=(.*)$", (project / "deploy" / "shop-worker.service").read_text())
    for line in lines:
        for words in taskflow_commands(line):
            parse(main, words)


@each_kind
def test_nothing_is_left_to_be_filled_in(projects: Path, kind: str) -> None:
    for file in project_of(projects, kind).rglob("*"):
        assert not re.search(r"NAME|SLUG|-tpl$|^dot-", file.name)
        if file.is_file() and file.suffix not in {".pyc", ".sqlite3"}:
            assert "{{ " not in file.read_text(), file


@each_kind
def test_every_part_of_the_deployment_starts_the_same_programs(projects: Path, kind: str) -> None:
    """The image is one for both; the examples' own test says that the worker's numbers are right."""
    project = project_of(projects, kind)
    compose = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    assert compose["worker"]["stop_grace_period"] == "75s"
    assert ("web" in compose) is (STORIES[kind].asks is not None)
    waits = {name for service in compose.values() for name in service.get("depends_on", {})}
    assert waits <= set(compose)
    units = ConfigParser(interpolation=None)
    units.read(project / "deploy" / "shop-worker.service")
    assert f"-A {KINDS[kind].app.format(name='shop')} " in units["Service"]["ExecStart"]
    if "web" in compose:
        (deployed,) = [
            one
            for one in yaml.safe_load_all((project / "deploy" / "kubernetes-web.yaml").read_text())
            if one["kind"] == "Deployment"
        ]
        (container,) = deployed["spec"]["template"]["spec"]["containers"]
        assert container["args"] == compose["web"]["command"]
        units.read(project / "deploy" / "shop-web.service")
        unit = shlex.split(units["Service"]["ExecStart"].replace("()", r"\(\)"))
        assert unit[0].rpartition("/")[2] == compose["web"]["command"][0]
        assert unit[-1] == compose["web"]["command"][-1]
        required = (project / "requirements.txt").read_text()
        assert re.search(rf"(?m)^{compose['web']['command'][0]}\b", required)


def test_the_example_of_deployment_is_what_is_written_for_flask() -> None:
    """So what its page says of each number holds for every new project."""
    example = ROOT / "examples" / "deployment"
    written = dict(rendered("shop", KINDS["flask"]))

    there = {
        str(file.relative_to(example))
        for file in example.rglob("*")
        if file.is_file() and not {"__pycache__", ".pytest_cache"} & {*file.parts}
    }
    assert there == set(written)
    assert [path for path, text in written.items() if (example / path).read_text() != text] == []


def test_an_installation_has_every_template() -> None:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    patterns = parser["options.package_data"]["taskflow.cli"].split(", ")

    files = [file for file in TEMPLATES.rglob("*") if file.is_file()]
    assert len(files) > 40
    for file in files:
        path = str(file.relative_to(TEMPLATES.parent))
        assert any(
            fnmatch.fnmatch(path, pattern) and path.count("/") == pattern.count("/") for pattern in patterns
        ), path


def test_a_name_with_an_underscore_is_one_with_a_hyphen_where_none_may_be(project: Path) -> None:
    """Kubernetes takes no underscores."""
    assert new("my_shop", "--flask").exit_code == 0

    for manifest in (project / "my_shop" / "deploy").glob("*.yaml"):
        for one in yaml.safe_load_all(manifest.read_text()):
            assert re.fullmatch(r"my-shop-(web|worker)", one["metadata"]["name"])
    assert (project / "my_shop" / "deploy" / "my-shop-worker.service").exists()
    assert "my_shop:create_app()" in (project / "my_shop" / "compose.yaml").read_text()


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_a_link", [False, True], ids=["a folder", "a link to nothing"])
def test_what_is_there_is_not_overwritten(project: Path, is_a_link: bool) -> None:
    if is_a_link:
        (project / "shop").symlink_to(project / "nothing")
    else:
        (project / "shop").mkdir()
    refused = new("shop")
    assert refused.exit_code == 2
    assert "'shop' is there already" in refused.output
    assert list(project.iterdir()) == [project / "shop"]
    assert is_a_link or list((project / "shop").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("my-shop", "'my_shop', perhaps"),
        ("Shop", "'shop', perhaps"),
        ("9shop", "cannot be the name"),
        ("../shop", "cannot be the name"),
        ("class", "cannot be the name"),
        ("shop_", "'shop', perhaps"),
        ("json", "there is a module 'json' already"),
        ("taskflow", "there is a module 'taskflow' already"),
        ("tests", "a folder that each project has"),
        ("s" * 41, "at most 40 characters"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_the_reason(project: Path, name: str, told: str) -> None:
    refused = new(name)
    assert refused.exit_code == 2
    assert told in refused.output
    assert list(project.iterdir()) == []


def test_without_the_framework_its_extra_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> object:
        return None if name == "fastapi" else find_spec(name)

    monkeypatch.setattr(new_project, "find_spec", without)
    refused = new("shop", "--fastapi")
    assert refused.exit_code == 2
    assert "pip install 'taskflow-queue[fastapi]'" in refused.output
    assert list(project.iterdir()) == []


def test_what_fails_in_the_middle_leaves_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full, say: half a project would then be in the way of the second try."""

    def half(name: str, kind: new_project.Kind) -> Iterator[tuple[str, str]]:
        yield "README.md", "half of it"
        raise OSError("No space left on device")

    monkeypatch.setattr(new_project, "rendered", half)
    failed = new("shop")
    assert failed.exit_code == 2
    assert list(project.iterdir()) == []


def test_it_says_what_comes_next(project: Path) -> None:
    said = new("shop").output
    assert "  cd shop\n  taskflow worker -A shop.tasks\n  python -m shop      # in another terminal\n" in said
    shutil.rmtree(project / "shop")
