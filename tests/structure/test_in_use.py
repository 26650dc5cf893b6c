"""What is there is in use: dependencies that something imports, modules that something imports or starts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "taskflow"
IMPORTED_AS = {"protobuf": "google"}
STARTED = re.compile(
    r"taskflow\.(__main__|in_process|runner\.(__main__|template)|cli\.\w+"
    r"|contrib\.fastapi\.events|contrib\.django\.(apps|models|admin|test|templatetags(\.\w+)?|migrations(\.\w+)?|management(\.commands(\.\w+)?)?))"
)
"""By `python -m`, by a command's name (`taskflow/cli/main.py`), by Django, which looks for modules of these names, or by users of
FastAPI: its events need another library, which those who stream none have not installed.
"""
FOR_TESTS = {"taskflow.testing", "taskflow.testing.keyspace", "taskflow.testing.plugin"}
"""By users' tests: the last is a plugin of pytest (`pytest11` in setup.cfg)."""


def modules() -> dict[str, Path]:
    """Every module of the package, by name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str, path: Path) -> Iterator[str]:
    """What a module imports, by full names: of `from . import x` both the package and x."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{one.name}" for one in node.names)


def test_every_dependency_is_imported_by_something() -> None:
    """cronsim came with every installation for months before there was a schedule."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    declared = [
        re.split(r"[\[>=<;]", line)[0].strip()
        for line in parser["options"]["install_requires"].splitlines()
        if line
    ]
    imported = {
        name.partition(".")[0] for module, path in modules().items() for name in imports(module, path)
    }

    assert [name for name in declared if IMPORTED_AS.get(name, name) not in imported] == []


def test_every_module_is_imported_or_started() -> None:
    """A module that nobody imports, or a package with nothing in it, is a promise that nobody keeps."""
    found = modules()
    used = FOR_TESTS | {name for name in found if STARTED.fullmatch(name)}
    for module, path in found.items():
        for name in imports(module, path):
            while name:
                used.add(name)
                name = name.rpartition(".")[0]

    assert sorted(found.keys() - used) == []
