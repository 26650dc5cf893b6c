"""Environments of the peers' own, made once: nothing of theirs gets into the project's."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .contender import Program, Unavailable

CACHE = Path(__file__).parents[1] / "build" / "bench-venv"
INSTALL_SECONDS = 600.0


class PythonPeer(Program):
    """A Python library from the package index, in a virtual environment of its own.

    Attributes:
        requirements: what is installed; the first names the distribution whose version is shown.
    """

    requirements: tuple[str, ...]

    def prepare(self) -> None:
        """See `Contender.prepare`."""
        self.interpreter = str(python_with(self.name, self.requirements))
        distribution = re.split(r"[\[<>=]", self.requirements[0])[0]
        code = f"from importlib.metadata import version; print(version({distribution!r}))"
        self.version = run([self.interpreter, "-c", code], Path.cwd()).strip()

    def script(self, name: str) -> str:
        """A command that the library has installed."""
        return str(Path(self.interpreter).parent / name)


def python_with(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of the environment `name`, in which these are installed."""
    directory = CACHE / name
    python = directory / "bin" / "python"
    stamp, wanted = directory / "installed", "\n".join([sys.version, *requirements])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    CACHE.mkdir(parents=True, exist_ok=True)
    run([sys.executable, "-m", "venv", "--clear", str(directory)], CACHE)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*install, *requirements], CACHE)
    stamp.write_text(wanted)
    return python


def node_with(name: str, packages: Sequence[str]) -> tuple[str, Path]:
    """Node's interpreter, and the folder in which these packages are installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unavailable("Node.js is not installed: no `node` and `npm` on the PATH")
    directory = CACHE / name
    stamp, wanted = directory / "installed", "\n".join(packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        directory.mkdir(parents=True, exist_ok=True)
        run([npm, "install", "--no-audit", "--no-fund", "--prefix", str(directory), *packages], directory)
        stamp.write_text(wanted)
    return node, directory / "node_modules"


def run(command: Sequence[str], directory: Path) -> str:
    """Run an installer; what it printed.

    Raises:
        Unavailable: it failed.
    """
    try:
        done = subprocess.run(
            list(command), cwd=directory, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not installed within {INSTALL_SECONDS:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise Unavailable(f"cannot be installed: {lines[-1][-300:]}")
    return done.stdout
