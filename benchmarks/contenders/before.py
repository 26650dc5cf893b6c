"""taskflow as it was at some commit, to be measured in turn with what it is now."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

from ..contender import Place, Unavailable
from ..processes import PROGRAMS
from ..venvs import CACHE
from .taskflow import Taskflow

ROOT = Path(__file__).parents[2]


class Before(Taskflow):
    """The package of another commit, in the project's own environment.

    Args:
        revision: as git takes it.
    """

    name = "before"
    label = "taskflow before"

    def __init__(self, revision: str) -> None:
        self._revision = revision
        self._tree = Path()

    def prepare(self) -> None:
        """See `Contender.prepare`."""
        super().prepare()
        asked = subprocess.run(
            ["git", "rev-parse", "--short", f"{self._revision}^{{commit}}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode != 0:
            raise Unavailable(f"git knows no commit {self._revision!r}")
        commit = asked.stdout.strip()
        self.version = commit
        self._tree = CACHE / f"before-{commit}"
        if not (self._tree / "taskflow").exists():
            self._tree.mkdir(parents=True, exist_ok=True)
            with subprocess.Popen(
                ["git", "archive", "--format=tar", commit, "taskflow"], cwd=ROOT, stdout=subprocess.PIPE
            ) as archive:
                assert archive.stdout is not None
                with tarfile.open(fileobj=archive.stdout, mode="r|") as tar:
                    tar.extractall(self._tree, filter="data")
        # As an installed package has it; the programs are told to write none.
        subprocess.run([self.interpreter, "-m", "compileall", "-q", str(self._tree)], check=True)

    def environment(self, place: Place) -> dict[str, str]:
        """See `Program.environment`."""
        return {**place.environment(), "PYTHONPATH": os.pathsep.join((str(PROGRAMS), str(self._tree)))}
