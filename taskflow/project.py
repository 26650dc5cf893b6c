"""Which project a program belongs to, and so which development server is its own when no broker URL is given.

Programs of one project meet there, whatever their current directory is: a web process, a worker, a shell. Programs of another
project do not, nor does a test run. Nothing is started or written here.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

MARKS = (
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "manage.py",
    "requirements.txt",
    "Pipfile",
    ".git",
    ".hg",
)
"""What lies in the folder of a project."""

SHARED_URL = "embedded://"
"""The server of the whole machine: what all projects shared before each had its own."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project, and where its development server has its data.

    Args:
        folder: the project's.
        directory: the server's data directory.
        is_test: whether this is a test run, which has a server of its own.
    """

    folder: Path
    directory: Path
    is_test: bool

    @property
    def url(self) -> str:
        """The server's broker URL."""
        return f"embedded://{quote(str(self.directory))}"


def is_of_a_project(directory: Path) -> bool:
    """Whether a data directory is that of a project's development server, and of no test run's."""
    return directory.parent == data_home() / "taskflow" / "projects" and not directory.name.endswith("-test")


def data_home() -> Path:
    """Where data of the user's programs is: `$XDG_DATA_HOME`, else `~/.local/share`.

    Raises:
        RuntimeError: there is no home directory.
    """
    given = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification tells to ignore a relative one.
    return Path(given) if os.path.isabs(given) else Path.home() / ".local" / "share"


def project_of(file: str | None) -> Project:
    """The project of a program.

    Args:
        file: where the app is made; None: at a prompt, or no app is known. Then the current directory counts.

    Raises:
        RuntimeError: there is no home directory.
    """
    folder = _folder(os.path.dirname(os.path.abspath(file)) if file else os.getcwd())
    is_test = is_test_run()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name)[:40] or "project"
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    directory = data_home() / "taskflow" / "projects" / f"{name}-{digest}{'-test' if is_test else ''}"
    return Project(folder, directory, is_test)


def is_test_run() -> bool:
    """Whether tests run: pytest, unittest or Django's `manage.py test`; also in a program that a test of pytest's has started."""
    if "PYTEST_VERSION" in os.environ or "PYTEST_CURRENT_TEST" in os.environ or "pytest" in sys.modules:
        return True
    main = getattr(sys.modules.get("__main__"), "__spec__", None)
    if main is not None and main.name.partition(".")[0] == "unittest":
        return True
    return "django" in sys.modules and sys.argv[1:2] == ["test"]


def calling_file() -> str | None:
    """The file of the code that has called into this package; None at a prompt."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        if frame.f_back is None:
            return None
        frame = frame.f_back
    file = frame.f_globals.get("__file__")
    return file if isinstance(file, str) else None


@lru_cache(maxsize=64)
def _folder(start: str) -> Path:
    """The nearest folder above `start` with the mark of a project; without any, the one that its package lies in."""
    here = Path(os.path.realpath(start))
    if {"site-packages", "dist-packages"} & set(here.parts):
        return Path(os.path.realpath(sys.prefix))  # an app that is installed belongs to its environment
    for folder in (here, *here.parents):
        if _is_nobodys(folder):
            break
        if any((folder / mark).exists() for mark in MARKS):
            return folder
    while (here / "__init__.py").exists() and here.parent != here:
        here = here.parent
    return here


def _is_nobodys(folder: Path) -> bool:
    """Whether a mark there says nothing: a home directory may be under version control, /tmp may have anything in it."""
    if folder == folder.parent:
        return True
    try:
        return folder == Path.home().resolve() or bool(folder.stat().st_mode & stat.S_IWOTH)
    except (RuntimeError, OSError):
        return False
