"""Pages that a newcomer copies line by line: their files and commands as they stand, with other ports and another broker."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.contrib.web import STRICT
from tests.servers import end, wait_until

ROOT = Path(__file__).parents[2]

_OTHERS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z")
"""What is another each time: ids and moments."""

_LISTENS = re.compile(
    r"Exception ignored in: .*\nResourceWarning: unclosed <socket\.socket (?:(?!raddr).)*>\n"
)
"""What gunicorn's and uvicorn's processes say, where each warning is an error, of the socket on which they listen."""


def _plain(text: str) -> str:
    return _OTHERS.sub("*", text)


@dataclass(frozen=True)
class Line:
    """A line that a reader types.

    Args:
        text: it, without what is said of it behind `#`.
        printed: what the page says that it prints.
    """

    text: str
    printed: str = ""


@dataclass(frozen=True)
class Page:
    """A page.

    Args:
        path: its file.
    """

    path: Path

    @property
    def files(self) -> dict[str, str]:
        """The files that it shows, by their paths: blocks of Python that begin with a comment which is one."""
        found = re.findall(r"(?ms)^```python\n# (\S+\.py)\n(.*?)^```", self.path.read_text())
        return dict(found)

    def section(self, heading: str) -> str:
        """The text under a heading, up to the next of its kind."""
        text = self.path.read_text()
        assert f"\n## {heading}\n" in text, f"{self.path.name} has no section {heading!r}"
        return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]

    def lines(self, heading: str) -> list[Line]:
        """What a reader types in a section, except for what installs packages."""
        lines: list[Line] = []
        for block in re.findall(r"(?ms)^```console\n(.*?)^```", self.section(heading)):
            for typed in re.split(r"(?m)^\$ ", block)[1:]:
                text, _, printed = typed.partition("\n")
                lines.append(Line(text.partition("   #")[0].strip(), printed.strip()))
        return [line for line in lines if not line.text.startswith("pip install")]

    def block(self, heading: str, number: int = 0) -> str:
        """A block of Python in a section."""
        return str(re.findall(r"(?ms)^```python\n(.*?)^```", self.section(heading))[number])


@dataclass
class Terminal:
    """Where the lines of a page are typed: a folder, and what was exported so far.

    Args:
        folder: the current directory.
        environment: variables, which `export` changes.
        instead: what stands in a page, and what is typed in its place: ports, the broker.
        patience: seconds for a line that ends by itself.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    patience: float = 60.0

    def run(self, line: Line) -> str:
        """Type a line, and wait for its end; what it has printed."""
        text = self._typed(line)
        exported = ""
        if text.startswith("export "):
            exported = text.removeprefix("export ").partition("=")[0]
            text += f'; printf "%s" "${exported}"'
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.patience,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        if exported:
            self.environment[exported] = done.stdout
        return done.stdout.strip()

    def prints(self, line: Line) -> None:
        """Type a line until it prints what the page says: a task takes its moment. Ids are others each time."""
        wanted = _plain(line.printed)
        seen: list[str] = []

        def does() -> bool:
            seen.append(_plain(self.run(line)))
            return seen[-1] == wanted

        try:
            wait_until(does, description=f"{line.text!r} prints {wanted!r}", timeout=30)
        except AssertionError as error:
            raise AssertionError(f"{error}, not {seen[-1]!r}") from None

    def tells(self, line: Line) -> None:
        """Type a line, which prints what the page says, and more where that has a line with "…"."""
        lines = iter(_plain(self.run(line)).splitlines())
        for wanted in _plain(line.printed).splitlines():
            if wanted != "…":
                assert wanted in lines, f"{line.text!r} does not print {wanted!r} there"

    @contextlib.contextmanager
    def running(self, line: Line, *, ready: str) -> Iterator[Path]:
        """Type a line that goes on, and wait until its output has these words; the file with what it prints. At the end it has
        Ctrl-C, as in a terminal of its own.
        """
        log = self.folder / f"{line.text.split()[0]}-{len(list(self.folder.glob('*.log')))}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {self._typed(line)}"],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            wait_until(
                lambda: ready in log.read_text() or process.poll() is not None,
                description=f"{line.text!r} says {ready!r}",
                timeout=40,
            )
            assert process.poll() is None, log.read_text()
            yield log
        finally:
            end(process, signal.SIGINT)
        said = _LISTENS.sub("", log.read_text())
        for bad in ("Warning", "Traceback"):
            assert bad not in said, said

    def _typed(self, line: Line) -> str:
        text = line.text
        for written, typed in self.instead.items():
            text = text.replace(written, typed)
        return text

    @property
    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        # A home of its own: gunicorn has its control socket there.
        return {**os.environ, **STRICT, "PATH": path, "HOME": str(self.folder), **self.environment}
