"""The everyday suite runs with known versions, and what setup.cfg promises about others is tried with them."""

from __future__ import annotations

import re
import runpy
import sys
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[.*\])?>=([\w.]+)")


def declared(section: str, key: str) -> dict[str, str]:
    """The lowest version of each requirement of setup.cfg, by name."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    lines = [line for line in parser[section][key].splitlines() if line]
    found = [_REQUIREMENT.match(line) for line in lines]
    assert all(found), lines
    return {match[1].lower(): match[2] for match in found if match}


def pinned(name: str) -> dict[str, str]:
    """The versions in a constraints file, by name."""
    lines = (ROOT / "tests" / name).read_text().splitlines()
    pairs = [line.partition("==") for line in lines if line and not line.startswith("#")]
    assert all(version for _, _, version in pairs), "a constraint is name==version"
    return {name.lower(): version for name, _, version in pairs}


def extras() -> list[str]:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return list(parser["options.extras_require"])


def test_the_oldest_run_has_the_lowest_versions_that_setup_cfg_allows() -> None:
    """Otherwise `tox -e oldest` would try something that nobody is promised, or leave out something that somebody is."""
    promised = declared("options", "install_requires")
    for extra in extras():
        if extra not in ("test", "lint", "types"):
            promised |= declared("options.extras_require", extra)
    oldest = pinned("oldest.txt")
    assert {name: _whole(version) for name, version in promised.items()} == {
        name: _whole(version) for name, version in oldest.items()
    }


@pytest.mark.parametrize("extra", ["", *extras()])
def test_the_everyday_run_leaves_no_dependency_to_the_day(extra: str) -> None:
    """On the day on which msgspec 0.23 came out, a commit that had passed the day before did not pass any more."""
    required = declared("options.extras_require", extra) if extra else declared("options", "install_requires")
    assert set(required) <= set(pinned("constraints.txt"))


def test_the_commands_of_the_everyday_run_use_the_constraints() -> None:
    constrained = "tests/constraints.txt"
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    assert constrained in tox["testenv"]["set_env"]
    for name in ("testenv:tests", "testenv:lint", "testenv:types"):
        assert "set_env" not in tox[name] or "{[testenv]set_env}" in tox[name]["set_env"]
    for file in (".ci/run", "README.md"):
        assert f"install -q -c {constrained} tox" in (ROOT / file).read_text()


@pytest.mark.parametrize("name", ["django60", "django61"])
def test_the_runs_under_another_django_have_else_what_the_everyday_run_has(name: str) -> None:
    """What fails there and not here is then Django's doing, or Python's."""
    everyday, other = pinned("constraints.txt"), pinned(f"{name}.txt")
    differ = {one for one, version in other.items() if version != everyday.get(one)}

    assert differ == {"django"}
    assert other["django"].startswith(f"{name[-2]}.{name[-1]}.")
    assert other["django"] in (ROOT / "tests/contrib/django/upstream/source.py").read_text()


def test_the_runs_under_another_django_are_part_of_the_everyday_run() -> None:
    """What `tox` leaves out, nobody runs; and a Python that is not there is a failure in CI, where it would be passed over."""
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")

    assert {"django60", "django61"} <= {name.strip() for name in tox["tox"]["envlist"].split(",")}
    assert "{tox_root}/tests/django60.txt" in tox["testenv:django{60,61}"]["set_env"]
    assert "{tox_root}/tests/django61.txt" in tox["testenv:django{60,61}"]["set_env"]
    versions = re.search(r"(?m)^VERSIONS = (.*)$", (ROOT / "toxfile.py").read_text())
    assert versions is not None
    named = re.findall(r"[\d.]+", versions[1])
    assert tox["testenv:django{60,61}"]["base_python"] == ", ".join(f"python{version}" for version in named)


@pytest.fixture
def toxfile(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `toxfile.py` has. tox itself is not installed where these tests run."""
    plugin = ModuleType("tox.plugin")
    vars(plugin)["impl"] = lambda function: function
    monkeypatch.setitem(sys.modules, "tox", ModuleType("tox"))
    monkeypatch.setitem(sys.modules, "tox.plugin", plugin)
    return runpy.run_path(str(ROOT / "toxfile.py"))


@pytest.mark.parametrize(("ci", "skips"), [("true", "false"), (None, "true")])
def test_a_python_that_is_missing_is_a_failure_in_ci_alone(
    ci: str | None, skips: str, toxfile: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever has no newer Python runs the rest; CI that has lost its own would be green without having looked. And tox itself
    does not find the Pythons of pyenv.
    """
    python = tmp_path / "versions" / "3.13.0" / "bin" / "python3.13"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", ci)
    options = SimpleNamespace(discover=[], skip_missing_interpreters="config")
    state = SimpleNamespace(conf=SimpleNamespace(options=options))

    toxfile["tox_add_core_config"](None, state)

    assert options.skip_missing_interpreters == skips
    assert options.discover == [str(python)]


def _whole(version: str) -> tuple[int, ...]:
    """8.1 and 8.1.0 are the same version."""
    numbers = [int(number) for number in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
