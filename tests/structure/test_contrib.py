"""The integrations of frameworks use what every user can use, and none needs another: what one lacks, others lack as well."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskflow

ROOT = Path(__file__).parents[2]
CONTRIB = ROOT / "taskflow" / "contrib"

PUBLIC = frozenset(
    {
        "taskflow.errors",
        "taskflow.events",
        "taskflow.inspector",
        "taskflow.stores",
        "taskflow.cli.main",
        "taskflow.testing",
    }
)
"""Modules that the docs name for users, or that are what a user starts."""

OF_FRAMEWORKS = frozenset({"_meta", "_state"})
"""What Django documents although it begins with an underscore."""

FRAMEWORKS = sorted(path.name for path in CONTRIB.iterdir() if (path / "__init__.py").exists())

FILES = sorted(CONTRIB.rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Each import of ours in a file: the module, and the name that is taken of it ("" for the module itself)."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    package = module.removesuffix(".__init__") if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((base, one.name) for one in node.names)


def belongs(module: str, to: str) -> bool:
    """Whether a module is a package, or lies in it."""
    return module == to or module.startswith(f"{to}.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONTRIB)))
def test_an_integration_imports_public_names_only(path: Path) -> None:
    """What is built on something private breaks when that changes, and shows nobody how to do the same for another framework."""
    framework = path.relative_to(CONTRIB).parts[0]
    own = f"taskflow.contrib.{framework}"
    private = [
        f"{module}: {name or 'the module'}"
        for module, name in imported(path)
        if belongs(module, "taskflow") and not belongs(module, own)
        if not (module == "taskflow" and (name in taskflow.__all__ or f"taskflow.{name}" in PUBLIC))
        if not any(belongs(module, public) for public in PUBLIC)
    ]

    assert private == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONTRIB)))
def test_an_integration_touches_no_private_attribute_of_others(path: Path) -> None:
    """`app._something` is not for users (docs/api.md), so it is not for an integration either."""
    touched = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__")
        if node.attr not in OF_FRAMEWORKS
        if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]

    assert touched == []


def test_nothing_of_the_core_imports_an_integration() -> None:
    """Who uses no Django pays nothing for it, and an integration can be taken out without a trace."""
    users = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "taskflow").rglob("*.py")
        if CONTRIB not in path.parents
        for module, name in imported(path)
        if belongs(module, "taskflow.contrib") or (module == "taskflow" and name == "contrib")
    ]

    assert users == []


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_is_imported_by_its_own_integration_only(framework: str) -> None:
    """A project of one framework has none of the others installed."""
    users = {
        path.relative_to(ROOT / "taskflow").parts[:2]
        for path in (ROOT / "taskflow").rglob("*.py")
        for module, _ in imported(path)
        if belongs(module, framework)
    }

    assert users <= {("contrib", framework)}
