"""What README, docs and examples say is true: links lead somewhere, code compiles, commands exist.

And the tutorial runs as it is told, in Python and in Go.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from taskflow.cli.main import main
from taskflow.cli.worker import worker
from tests.conftest import Cluster
from tests.servers import wait_until
from tests.workers import WorkerProcess

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "examples" / "tutorial"
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*/README.md"),
    ]
)
QUEUES = {"notifications": 1, "webhooks": 1, "images": 1}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# --- pages --------------------------------------------------------------------------------------------------


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = page.parent / path if path else page
        if not file.exists() or (heading and heading not in headings(file)):
            missing.append(target)
    assert not missing


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")]

    assert [page for page in pages if f"({page})" not in index] == ["README.md"]


@each_page
def test_python_code_compiles_and_imports_what_exists(page: Path) -> None:
    for code in blocks(page, "python"):
        source = re.sub(r"(?m)^(>>>|\.\.\.) ?", "", code)
        compile(source, str(page), "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT
        for module, names in re.findall(r"(?m)^from (taskflow[\w.]*) import ([\w, ]+)$", source):
            try:
                found = importlib.import_module(module)
            except ImportError as error:
                if "is a part of Django 6" in str(
                    error
                ):  # tox -e django60, django61 have it, and run what the page says
                    continue
                raise
            assert [name for name in names.split(", ") if not hasattr(found, name)] == []


@each_page
def test_commands_exist_with_their_options(page: Path) -> None:
    for line in shell_lines(page):
        for words in taskflow_commands(line):
            try:
                parse(main, words)
            except click.ClickException as error:
                pytest.fail(f"{line}\n{error.format_message()}")


def test_every_option_of_the_worker_is_documented() -> None:
    text = (ROOT / "docs" / "worker.md").read_text()
    options = [option for one in worker.params for option in one.opts if option.startswith("--")]

    assert [option for option in options if f"`{option}" not in text] == []


@pytest.mark.parametrize("file", ["tasks.py", "client.py"])
def test_the_tutorial_shows_the_examples_own_code(file: str) -> None:
    assert (TUTORIAL / file).read_text() in blocks(ROOT / "docs" / "tutorial.md", "python")


def headings(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    found = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks in a language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", page.read_text())


def shell_lines(page: Path) -> Iterator[str]:
    """The lines that a reader types: all of a block without a language, the prompts' of `console`."""
    text = page.read_text()
    for language, block in re.findall(r"(?ms)^```(\w*)\n(.*?)^```", text):
        if language == "console":
            yield from re.findall(r"(?m)^\$ (.*)$", block)
        elif language in ("", "sh"):
            yield from block.splitlines()
    yield from re.findall(r"(?m)^    (\S.*)$", re.sub(r"(?ms)^```.*?^```", "", text))


def taskflow_commands(line: str) -> Iterator[list[str]]:
    """The words after `taskflow` of each call in a line of shell."""
    for part in re.split(r"&&|\||;|\$\(|\)", line):
        with contextlib.suppress(ValueError):  # an apostrophe: prose
            words = shlex.split(part, comments=True)
            if words and words[0].split("/")[-1] == "taskflow" and "..." not in words and "…" not in words:
                yield words[1:]


def parse(command: click.Command, words: list[str]) -> None:
    """Raise click's own error for a command or an option that does not exist."""
    context = click.Context(command)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    if isinstance(command, click.Group) and rest:
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        parse(found, rest)


# --- the tutorial, on six nodes -----------------------------------------------------------------------------


def test_the_tutorial_in_python(cluster: Cluster) -> None:
    with python_worker(cluster):
        assert run_client(cluster, "--wait").splitlines()[3:] == [
            "notifications: 'sent an email to 123 from 456'",
            "webhooks: 'synced the webhook data 123'",
            "images: 'resized the image some/path/to/image'",
        ]


@pytest.mark.interop
@pytest.mark.timeout(300)
def test_the_tutorials_client_in_go_with_the_worker_in_python(cluster: Cluster, go_programs: Path) -> None:
    with python_worker(cluster) as worker:
        client = subprocess.run(
            [go_programs / "client"], env=environment(cluster), capture_output=True, text=True, timeout=60
        )

        assert client.returncode == 0, client.stderr
        enqueued = re.findall(r"enqueued ([\w:]+) .*: id=(\S+) queue=", client.stdout)
        assert [name for name, _ in enqueued] == ["notifications:email", "webhooks:sync", "images:resize"]
        for name, task_id in enqueued:
            worker.wait_for_log(f"Task {name}[{task_id}] succeeded")


@pytest.mark.interop
@pytest.mark.timeout(300)
def test_the_tutorials_client_in_python_with_the_worker_in_go(
    cluster: Cluster, go_programs: Path, tmp_path: Path
) -> None:
    """Go keeps no return values, so the client is told None."""
    output = tmp_path / "server.log"
    with output.open("wb") as log:
        server = subprocess.Popen([go_programs / "server"], env=environment(cluster), stdout=log, stderr=log)
    try:
        lines = run_client(cluster, "--wait").splitlines()
        assert lines[3:] == ["notifications: None", "webhooks: None", "images: None"]
        wait_until(lambda: output.read_text().count("(id=") == 3, description="Go has told of three tasks")
        assert "notifications:email: sent an email to 123 from 456" in output.read_text()
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(10)


def python_worker(cluster: Cluster) -> WorkerProcess:
    return WorkerProcess(
        "tasks", directory=TUTORIAL, environment=environment(cluster), queues=QUEUES, concurrency=20
    )


def run_client(cluster: Cluster, *arguments: str) -> str:
    command = [sys.executable, "client.py", *arguments]
    done = subprocess.run(
        command, cwd=TUTORIAL, env=environment(cluster), capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(cluster: Cluster) -> dict[str, str]:
    addresses = ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes)
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TASKFLOW_BROKER": cluster.url,
        "TASKFLOW_TUTORIAL_ADDRS": addresses,
    }


@pytest.fixture(scope="module")
def go_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's two programs in Go; without Go the test is skipped, but in CI it fails."""
    go = shutil.which("go")
    if go is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("Go is not installed: no `go` on the PATH")
    target = tmp_path_factory.mktemp("tutorial-go")
    command = [str(go), "build", "-buildvcs=false", "-o", f"{target}/", "./client", "./server"]
    built = subprocess.run(command, cwd=TUTORIAL / "go", capture_output=True, text=True, timeout=280)
    assert built.returncode == 0, built.stderr
    return target
