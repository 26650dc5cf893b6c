"""mypy and pyright, on programs that are right and on programs that are wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ("good.py", "bad.py")

_MARK = "  # E: "

Errors = set[tuple[str, int]]
"""(file, line) of each error."""


def run_mypy() -> tuple[Errors, str]:
    # A cache of its own: another mypy may be at work beside this one.
    options = ["--strict", "--config-file=setup.cfg", "--cache-dir=.mypy_cache/typing"]
    output = _run([sys.executable, "-m", "mypy", *options, *(str(HERE / name) for name in FILES)])
    return {
        (Path(path).name, int(line)) for path, line in re.findall(r"(?m)^(.+?):(\d+): error: ", output)
    }, output


def run_pyright() -> tuple[Errors, str]:
    command = [
        sys.executable,
        "-m",
        "pyright",
        "--outputjson",
        "--pythonpath",
        sys.executable,
        "-p",
        str(HERE),
    ]
    output = _run(command)
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in json.loads(output[output.index("{") :])["generalDiagnostics"]
        if one["severity"] != "information"
    }, output


@pytest.mark.timeout(400)
@pytest.mark.parametrize("check", [run_mypy, run_pyright], ids=["mypy", "pyright"])
def test_a_type_checker_finds_every_marked_error_and_no_other(
    check: Callable[[], tuple[Errors, str]],
) -> None:
    """Wrong arguments and unknown options are found before anything runs; right programs pass."""
    expected = {
        (name, number)
        for name in FILES
        for number, line in enumerate((HERE / name).read_text().splitlines(), start=1)
        if _MARK in line
    }

    everywhere, output = check()

    found = {(name, line) for name, line in everywhere if name in FILES}
    assert len(expected) > 30
    assert found == expected, f"more: {found - expected}, fewer: {expected - found}\n{output}"


def _run(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.stdout, f"{command[2]} said nothing: {done.stderr}"
    return done.stdout
