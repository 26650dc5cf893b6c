"""A process with a Django project, which does what a test says: settings are one for a process, and tests have several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[3]

_LOOP = """
import json, sys, traceback
import django
out_to = sys.stdout
sys.stdout = sys.stderr
django.setup()
names = {}
for line in sys.stdin:
    said = {}
    try:
        names["out"] = None
        exec(compile(json.loads(line), "<session>", "exec"), names)
        said["out"] = names["out"]
    except BaseException as error:
        said["error"] = traceback.format_exc()
        said["kind"] = type(error).__name__
    print(json.dumps(said, default=str), file=out_to, flush=True)
"""


class Session:
    """A process with the project of a folder; started by `with`.

    Args:
        folder: of the project, whose `settings` it uses.
        environment: more environment variables.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _LOOP],
            cwd=self._folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(self._folder), str(ROOT)]),
                "DJANGO_SETTINGS_MODULE": "settings",
                **self._environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait(10)
            self._process.stdout.close()

    def run(self, source: str) -> Any:
        """Run some lines; what they leave in `out`. Names stay.

        Raises:
            AssertionError: they have raised.
        """
        said = self._ask(source)
        assert "error" not in said, said["error"]
        return said["out"]

    def raised(self, source: str) -> str:
        """What some lines raise: the last line of the traceback."""
        said = self._ask(source)
        assert "error" in said, f"nothing was raised: {said}"
        return str(said["error"]).strip().splitlines()[-1]

    def _ask(self, source: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(source), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the process has ended with {self._process.wait(10)}"
        found: dict[str, Any] = json.loads(line)
        return found
