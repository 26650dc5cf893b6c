"""What `taskflow new` writes: the templates of a kind of project, with its name in them.

The templates lie in layers, folders of `templates/`: a later one adds to those before it, and replaces a file of the same name.
They are not named `.py`, so that no tool takes them for modules of ours.
"""

from __future__ import annotations

import json
import keyword
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import ConfigurationError

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = "-tpl"
LONGEST = 40
"""Characters of a name: with what is added to it, it has to be a name in Kubernetes."""

TAKEN = frozenset({"deploy", "tests", "texts", "wheels"})
"""Folders that a project has besides that of its name."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of project.

    Args:
        title: what it is, for people.
        layers: folders of `templates/`.
        app: what `-A` is; `{name}` stands for the project's.
        needs: the module of its framework, which is also the name of our extra; empty: none.
        web: the command of its web server in a container, and in a unit of systemd; empty: it has none.
        notifies: whether the web server tells systemd when it is ready.
        runs: what else a newcomer types first.
        waits: what is typed when the worker runs, since it waits for what that does.
    """

    title: str
    layers: tuple[str, ...]
    app: str
    needs: str = ""
    web: tuple[str, str] = ("", "")
    notifies: bool = False
    runs: tuple[str, ...] = ()
    waits: str = ""

    def commands(self, name: str) -> list[str]:
        """What a newcomer types first, in the project's folder."""
        worker = f"taskflow worker -A {self.app.format(name=name)}"
        *first, last = [*self.runs, worker, self.waits] if self.waits else [*self.runs, worker]
        return [
            *(line.format(name=name) for line in first),
            f"{last.format(name=name)}      # in another terminal",
        ]


def _gunicorn(app: str) -> tuple[str, str]:
    common = f"--workers 2 --graceful-timeout 30 {app}"
    return (
        f"gunicorn --bind 0.0.0.0:8000 --worker-tmp-dir /dev/shm {common}",
        f"gunicorn --bind 127.0.0.1:8000 {common}",
    )


def _uvicorn(app: str) -> tuple[str, str]:
    common = f"--port 8000 --workers 2 --timeout-graceful-shutdown 30 {app}"
    return f"uvicorn --host 0.0.0.0 {common}", f"uvicorn --host 127.0.0.1 {common}"


KINDS: Mapping[str, Kind] = {
    "plain": Kind(
        "a program with tasks", ("common", "pytest", "plain"), "{name}.tasks", waits="python -m {name}"
    ),
    "flask": Kind(
        "a Flask application with tasks",
        ("common", "web", "pytest", "flask"),
        "{name}",
        "flask",
        _gunicorn("{name}:create_app()"),
        notifies=True,
        runs=("pip install -r requirements.txt", "flask --app {name} run"),
    ),
    "fastapi": Kind(
        "a FastAPI application with tasks",
        ("common", "web", "pytest", "fastapi"),
        "{name}.tasks",
        "fastapi",
        _uvicorn("{name}.main:web"),
        runs=("pip install -r requirements.txt", "uvicorn {name}.main:web"),
    ),
    "django": Kind(
        "a Django project with tasks",
        ("common", "web", "django"),
        "{name}",
        "django",
        _gunicorn("{name}.wsgi"),
        notifies=True,
        runs=("pip install -r requirements.txt", "python manage.py migrate", "python manage.py runserver"),
    ),
}


def create(name: str, kind: str, parent: Path) -> Path:
    """Write a project into a new folder.

    Args:
        name: the project's, and its package's.
        kind: a key of `KINDS`.
        parent: where the folder is to be.

    Returns:
        The folder.

    Raises:
        ConfigurationError: the name cannot be one, there is something of that name, or the framework is not installed.

    Example:
        >>> create("shop", "plain", Path.cwd())                         # doctest: +SKIP
        PosixPath('/home/ann/shop')
    """
    _check_name(name)
    chosen = KINDS[kind]
    if chosen.needs and find_spec(chosen.needs) is None:
        raise ConfigurationError(
            f"a project of this kind needs {chosen.needs}, which is not installed here: "
            f"pip install 'taskflow-queue[{chosen.needs}]'"
        )
    target = parent / name
    if os.path.lexists(target):
        raise ConfigurationError(
            f"{name!r} is there already, in {parent}: nothing was written. Choose another name, or another directory"
        )
    # Beside its place, and moved there when it is complete: what fails in the middle leaves nothing.
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=parent) as unfinished:
        made = Path(unfinished) / name
        made.mkdir()
        if kind == "django":
            _start_django(name, made)
        for path, text in rendered(name, chosen):
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text)
        made.rename(target)
    return target


def rendered(name: str, kind: Kind) -> Iterator[tuple[str, str]]:
    """Every file that the templates of a kind make: its path in the project, and its text."""
    words = _words(name, kind)
    found: dict[str, Path] = {}
    for layer in kind.layers:
        folder = TEMPLATES / layer
        for template in sorted(folder.rglob(f"*{SUFFIX}")):
            found[str(template.relative_to(folder))] = template
    for path, template in found.items():
        written = path.removesuffix(SUFFIX).replace("NAME", name).replace("SLUG", words["slug"])
        yield re.sub(r"(^|/)dot-", r"\1.", written), fill(template.read_text(), words)


def fill(text: str, words: Mapping[str, str]) -> str:
    """Put words in the places of their names: `{{ name }}`."""
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: words[found[1]], text)


def _words(name: str, kind: Kind) -> dict[str, str]:
    in_container, in_unit = (command.format(name=name) for command in kind.web)
    words = {
        "name": name,
        "slug": name.replace("_", "-"),
        "app": kind.app.format(name=name),
        "web_in_container": ", ".join(
            map(json.dumps, shlex.split(re.sub(r"(\S+\(\))", r"'\1'", in_container)))
        ),
        "web_in_unit": in_unit,
        "web_type": "notify" if kind.notifies else "exec",
    }
    return {**words, "deployment": fill((TEMPLATES / f"deployment.md{SUFFIX}").read_text(), words).rstrip()}


def _start_django(name: str, folder: Path) -> None:
    """Have Django's own command write its project, and add what is ours to its settings."""
    command = [sys.executable, "-m", "django", "startproject", name, str(folder)]
    environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConfigurationError(f"django-admin startproject has failed: {done.stderr.strip()}")
    settings = folder / name / "settings.py"
    text = settings.read_text().replace(
        "from pathlib import Path\n", "import os\nfrom pathlib import Path\n", 1
    )
    settings.write_text(text + fill((TEMPLATES / f"settings.py{SUFFIX}").read_text(), {"name": name}))


def _check_name(name: str) -> None:
    """Raise for a name that cannot be one of a package, of a service and of a file."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name.endswith("_") or keyword.iskeyword(name):
        near = re.sub(r"\W+|_+$", "_", name.lower()).strip("_")
        try_this = (
            f": {near!r}, perhaps" if re.fullmatch(r"[a-z]\w*", near) and not keyword.iskeyword(near) else ""
        )
        raise ConfigurationError(
            f"{name!r} cannot be the name of a project: small letters, digits and underscores, the first a letter{try_this}"
        )
    if len(name) > LONGEST:
        raise ConfigurationError(f"the name of a project has at most {LONGEST} characters, not {len(name)}")
    if name in TAKEN:
        raise ConfigurationError(f"{name!r} is a folder that each project has: choose another name")
    if find_spec(name) is not None:
        raise ConfigurationError(
            f"there is a module {name!r} already, which the project's could not be told from: choose another name"
        )
