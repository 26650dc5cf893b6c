"""The everyday suite runs with known versions, and what setup.cfg promises about others is tried with them."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

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


def _whole(version: str) -> tuple[int, ...]:
    """8.1 and 8.1.0 are the same version."""
    numbers = [int(number) for number in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
