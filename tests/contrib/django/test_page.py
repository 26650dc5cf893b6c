"""docs/django.md, copied line by line: what a newcomer types, in the order of the page, works at the first try."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers import free_port, wait_until

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "django.md").read_text()

STEP = re.compile(
    r"(?ms)^(?:At the end of `(?P<longer>[\w/.]+)`:\n\n|`(?P<file>[\w/.]+)`[^\n]*:\n\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```"
)
"""A block, with the name of the file that it is, or is the end of."""

SERVES = ("runserver", "worker")
"""Commands that go on, each in a terminal of its own."""


@dataclass
class Reader:
    """Somebody with a folder, terminals, and nothing else than the page.

    Args:
        folder: where they are.
        port: in place of 8000, where others may be.
        home: where development servers have their data.
    """

    folder: Path
    port: int
    home: Path
    terminals: list[tuple[subprocess.Popen[bytes], Path]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """That of a shell: a test run would have a development server of its own."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO"))
        }
        kept.pop("TASKFLOW_BROKER", None)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        more = {
            "PATH": path,
            "XDG_DATA_HOME": str(self.home),
            "PYTHONWARNINGS": "error",
            "PYTHONPATH": str(ROOT),
        }
        return {**kept, **more, "PYTHONUNBUFFERED": "1"}

    def type(self, line: str) -> str:
        """Type a line, and wait for its end; what it prints."""
        words = shlex.split(line)
        if words[:2] == ["pip", "install"]:
            return ""
        if words[0] == "cd":
            self.folder /= words[1]
            return ""
        if words[-1] in SERVES:
            self.open_terminal([*words, f"127.0.0.1:{self.port}"] if words[-1] == "runserver" else words)
            return ""
        done = subprocess.run(
            [word.replace(":8000/", f":{self.port}/") for word in words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout + done.stderr

    def open_terminal(self, words: Sequence[str]) -> None:
        """Start what goes on, and wait until it serves."""
        log = self.home / f"{words[-2]}-{len(self.terminals)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.terminals.append((process, log))
        says = " worker for " if words[-1] == "worker" else "Quit the server"

        def serves() -> bool:
            assert process.poll() is None, log.read_text()
            return says in log.read_text()

        wait_until(serves, description=f"{' '.join(words)} serves", timeout=60)

    def logs(self) -> str:
        """What the terminals show."""
        return "\n".join(log.read_text()[-3000:] for _, log in self.terminals)

    def write(self, file: str, text: str, *, at_the_end: bool) -> None:
        """Save a file."""
        path = self.folder / file
        path.write_text(path.read_text() + "\n" + text if at_the_end else text)

    def leave(self) -> None:
        """Ctrl-C in each terminal."""
        for process, _ in reversed(self.terminals):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    home = tmp_path / "home"
    home.mkdir()
    someone = Reader(tmp_path, free_port(), home)
    try:
        yield someone
    finally:
        someone.leave()
        if (someone.folder / "manage.py").exists():
            someone.type("python manage.py taskflow server stop")


@pytest.mark.timeout(240)
def test_the_project_of_the_page_works_as_it_stands(reader: Reader) -> None:
    """Two apps, an admin, a view in a transaction, a function and a coroutine, `models.py`, `admin.py` and `apps.py` that import
    tasks; and the tests of the page.
    """
    project, _, rest = PAGE.partition("\n## The setting")
    for step in STEP.finditer(project):
        if step["kind"] == "python":
            file = step["file"] or step["longer"]
            assert file, f"a block of the page is no file:\n{step['text']}"
            reader.write(file, step["text"], at_the_end=bool(step["longer"]))
        elif step["kind"] == "console":
            for line, answer in re.findall(r"(?m)^\$ (.*)\n(.*)$", step["text"]):
                expect(reader, line, answer)
        else:
            for line in step["text"].splitlines():
                reader.type(line)
    written = next(step for step in STEP.finditer(rest) if step["file"] == "shop/tests.py")
    reader.write("shop/tests.py", written["text"], at_the_end=False)

    assert "Ran 3 tests" in reader.type("python manage.py test")
    assert "letters.tasks.confirm" in reader.logs()
    assert reader.type("python manage.py check").startswith("System check identified no issues")
    for bad in ("Traceback", "Warning", " failed "):
        assert bad not in reader.logs()


def expect(reader: Reader, line: str, answer: str) -> None:
    """A command gives this answer, in which … stands for anything, sooner or later."""
    wanted = re.escape(answer).replace("…", ".+")
    answers: list[str] = []

    def is_there() -> bool:
        answers.append(reader.type(line.replace("curl ", "curl -s ")))
        return re.fullmatch(wanted, answers[-1].strip()) is not None

    if "-d" in line:  # it makes something: once
        assert is_there(), f"{answers}\n{reader.logs()}"
        json.loads(answers[-1])
    else:
        wait_until(is_there, description=f"{line} gives {answer}, and not {answers[-1:]}\n{reader.logs()}")
