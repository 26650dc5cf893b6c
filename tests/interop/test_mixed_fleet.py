"""docs/mixed-fleet.md is true: Django, its worker, Go's worker and Go's client, as the page starts and calls them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from taskflow import State, TaskFlow
from taskflow.errors import TaskFailed
from tests.contrib.web import STRICT, Web, serve
from tests.interop.golang import CACHE_DIR, GoUnavailable, build_peer
from tests.servers import Server, wait_until
from tests.test_examples_docs import blocks
from tests.workers import WorkerProcess

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mixed-fleet.md"
EXAMPLE = ROOT / "examples" / "mixed_fleet"
SHOWN = {
    "python": ("config/settings.py", "photos/tasks.py", "photos/views.py"),
    "go": ("go/tasks.go", "go/worker.go", "go/client.go", "go/main.go"),
}


@pytest.fixture(scope="module")
def program() -> Path:
    """Go's part; without Go the test is skipped, but in CI it fails."""
    try:
        return build_peer(CACHE_DIR, EXAMPLE / "go")
    except GoUnavailable as error:
        reason = str(error)
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class Fleet:
    """All that the page starts."""

    web: Web
    app: TaskFlow
    directory: Path
    program: Path
    log: Path
    """What Go's worker says."""

    def active(self, queue: str) -> list[str]:
        """The ids of what runs."""
        return [one.id for one in self.app.inspector.tasks(queue, State.ACTIVE).tasks]

    def types(self, command: str) -> str:
        """What a command of the page prints."""
        command = command.replace("http://127.0.0.1:8000", self.web._url)
        command = command.replace("go run .", str(self.program))
        env = {**os.environ, "TASKFLOW_BROKER": self.app.broker_url}
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.directory, env=env, capture_output=True, text=True, timeout=60
        )
        return (done.stdout or done.stderr).strip()


@pytest.fixture(scope="module")
def fleet(program: Path, valkey: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("fleet") / "mixed_fleet"
    shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns("__pycache__", "db.sqlite3"))
    environment = {"TASKFLOW_BROKER": valkey.url}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=directory,
        env={**os.environ, **STRICT, **environment},
        check=True,
        timeout=60,
    )
    runserver = ["manage.py", "runserver", "--noreload", "127.0.0.1:PORT"]
    app = TaskFlow("looking", broker=valkey.url, retention=600)
    log = directory / "go.log"
    try:
        with (
            go_worker(program, environment, log),
            WorkerProcess(
                "config", directory=directory, environment=STRICT | environment, concurrency=2
            ) as worker,
            serve(directory, runserver, environment) as web,
        ):
            assert list(queues(worker)) == ["photos"], "thumbnails is Go's"
            with redis.Redis(port=valkey.port) as looking:
                # Go subscribes beside its first tasks, and what is said before then nobody hears.
                wait_until(
                    lambda: looking.pubsub_numsub("asynq:cancel")[0][1] >= 2,
                    description="both workers listen for cancels",
                )
            yield Fleet(web, app, directory, program, log)
    finally:
        app.close()


@contextmanager
def go_worker(program: Path, environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), "worker"], env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: "Starting processing" in log.read_text(), description="Go's worker takes tasks")
        yield
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(25)


def queues(worker: WorkerProcess) -> Iterator[str]:
    """Those that its banner names."""
    for line in worker.log:
        if line.startswith("  queues "):
            yield from re.findall(r"(\w+)=\d+", line)


def session() -> list[tuple[str, str]]:
    """Each command of the page's session, with what it prints."""
    (block,) = [block for block in blocks(PAGE, "console") if "curl" in block]
    return [
        (part.partition("\n")[0], part.partition("\n")[2].strip())
        for part in re.split(r"(?m)^\$ ", block)
        if part
    ]


def fits(printed: str, told: str) -> bool:
    """Ids differ: the page breaks them off."""
    return re.fullmatch(re.sub(r"\w+…", "[-0-9a-f]+", re.escape(told)), printed) is not None


def test_the_page_shows_the_code_of_the_example() -> None:
    for language, files in SHOWN.items():
        shown = blocks(PAGE, language)
        for file in files:
            assert (EXAMPLE / file).read_text() in shown, file


def test_the_pages_session_prints_what_the_page_says(fleet: Fleet) -> None:
    """Django enqueues for Go, Go for Django, and each has the other's results."""
    commands = session()
    assert len(commands) == 8
    for command, told in commands:
        printed: list[str] = []

        def prints(command: str = command, told: str = told, printed: list[str] = printed) -> bool:
            printed.append(fleet.types(command))
            return fits(printed[-1], told)

        if '"asked"' in told:
            wait_until(lambda: fleet.active("thumbnails"), description="Go runs what is to be cancelled")
        if " -d " in command or " -X " in command:
            assert prints(), printed
        else:
            wait_until(prints, description=f"{command} prints {told}")


def test_what_go_refuses_for_good_is_a_failure_in_python_with_its_text(fleet: Fleet) -> None:
    handle = fleet.app.send_task(
        "thumbnails:make", kwargs={"photo": 71, "src": "a.txt", "width": 10}, queue="thumbnails"
    )
    with pytest.raises(TaskFailed, match=r"a\.txt is no image"):
        handle.get(timeout=20)


def test_gos_mux_fails_a_name_that_it_does_not_know(fleet: Fleet) -> None:
    """So a queue is served by workers that know all names in it."""
    handle = fleet.app.send_task("thumbnail:make", kwargs={}, queue="thumbnails", max_retries=0)
    with pytest.raises(TaskFailed, match="handler not found"):
        handle.get(timeout=20)


@pytest.mark.parametrize(
    ("payload", "problem"), [({}, "photo"), ({"photo": 1, "more": 2}, "more"), ({"photo": "x"}, "photo")]
)
def test_a_payload_that_does_not_fit_the_function_is_archived_with_the_name_of_the_field(
    fleet: Fleet, payload: dict[str, object], problem: str
) -> None:
    """As when Go's struct has a field that is missing, too many, or of another type."""
    handle = fleet.app.send_task("photos:describe", kwargs=payload, queue="photos")
    with pytest.raises(TaskFailed, match=problem):
        handle.get(timeout=20)
