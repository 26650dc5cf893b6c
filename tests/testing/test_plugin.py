"""The pytest plugin, in suites of users: in processes of their own, since this suite is one of pytest's, too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "testing_app"

PLUGIN = ("-p", "taskflow.testing.plugin")
"""Named, for an environment that was installed before there was a plugin; where it is found by itself, that is no second one."""


def run(folder: Path, *options: str) -> tuple[int, str]:
    """Run the suite in a folder as its user would, who treats warnings as errors."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        *PLUGIN,
        *options,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "PYTHONPYCACHEPREFIX": compiled(),
    }
    # What surrounds this run is not its user's.
    for name in (
        "PYTEST_ADDOPTS",
        "PYTEST_XDIST_WORKER",
        "PYTEST_XDIST_WORKER_COUNT",
        "PYTEST_XDIST_TESTRUNUID",
    ):
        environment.pop(name, None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=250)
    return done.returncode, done.stdout + done.stderr


def compiled() -> str:
    """Where Python and pytest put what they compile, for all of these runs: a user's second run has it, too."""
    return str(_compiled[-1])


_compiled: list[Path] = []


@pytest.fixture(autouse=True, scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Beside the folders of this run's processes, which belong to nobody else."""
    _compiled.append(tmp_path_factory.getbasetemp().parent / "compiled")


def suite(folder: Path, tests: str, settings: str = "") -> Path:
    (folder / "pytest.ini").write_text(
        f"[pytest]\ntaskflow_app = shop:app\nasyncio_default_fixture_loop_scope = function\n{settings}\n"
    )
    shutil.copy(EXAMPLE / "shop.py", folder / "shop.py")
    (folder / "test_it.py").write_text("import pytest\nimport shop\nfrom taskflow.testing import *\n" + tests)
    return folder


def passed(output: str) -> int:
    found = re.search(r"(\d+) passed", output)
    return int(found[1]) if found else 0


@pytest.mark.timeout(300)
def test_a_users_hundred_tests_are_isolated_in_two_processes_and_in_any_order() -> None:
    """What the seconds are is measured by `python -m benchmarks.testing`."""
    code, output = run(EXAMPLE, "-n", "2", "-p", "randomly")
    assert (code, passed(output)) == (0, 100), output


def test_where_the_isolation_is_broken_the_hundred_tests_see_it() -> None:
    """A suite that passed all the same would show nothing."""
    code, output = run(
        EXAMPLE, "-p", "tests.testing.leaky", "-p", "no:randomly", "-k", "welcomed_and_reminded"
    )
    assert code == 1
    assert "19 failed, 1 passed" in output
    assert "nothing was to wait to be run; these do:" in output


def test_fixtures_settings_and_the_marker(tmp_path: Path) -> None:
    tests = """
@pytest.mark.taskflow
def test_marked():
    shop.sign_up("ann")
    assert_enqueued(shop.welcome, "ann")

def test_isolated_by_the_settings():
    assert_nothing_enqueued()
    assert shop.app.broker_url.startswith("unix://")

@pytest.mark.taskflow(broker="eager")
def test_eager():
    assert shop.app.eager

def test_the_app(taskflow_app):
    assert taskflow_app is shop.app

@pytest.mark.taskflow(queues=["reports"], concurrency=2)
def test_the_worker(taskflow_worker):
    assert list(taskflow_worker.worker.queues) == ["reports"]
    assert shop.total.delay([1]).get(10) == 1

@pytest.mark.taskflow(apps="shop")
def test_misspelled():
    pass

class TestClass:
    @pytest.fixture(autouse=True)
    def _mails(self, monkeypatch):
        monkeypatch.setattr(shop, "send_mail", lambda to, text: None)

    def test_one(self, taskflow_clock):
        shop.sign_up("ann")
        drain()
        taskflow_clock.advance(shop.DAY)
        assert drain().names == ["shop.remind"]
"""
    code, output = run(suite(tmp_path, tests, "taskflow_isolate = true"))
    assert code == 1, output
    assert "6 passed, 1 error" in output or "7 passed, 1 error" in output, output
    assert "takes app, broker, queues, concurrency by name, and no apps=" in output


def test_it_works_with_pytest_asyncio_and_with_anyio(tmp_path: Path) -> None:
    tests = """
@pytest.mark.asyncio
async def test_its_own_loop(taskflow_sandbox):
    handle = await shop.total.adelay([1, 2])
    assert len(await adrain()) == 1
    assert await handle.aget() == 3

@pytest.mark.asyncio
async def test_beside_a_worker(taskflow_worker):
    assert await (await shop.total.adelay([1, 2])).aget(10) == 3

@pytest.mark.asyncio(loop_scope="session")
async def test_a_loop_of_the_session(taskflow_sandbox):
    await shop.total.adelay([1])
    assert len(enqueued()) == 1

@pytest.mark.asyncio(loop_scope="session")
async def test_the_same_loop_once_more(taskflow_sandbox):
    await shop.total.adelay([1])
    assert len(enqueued()) == 1
    assert len(await adrain()) == 1

@pytest.mark.anyio
async def test_anyio(taskflow_sandbox):
    handle = await shop.total.adelay([1, 2])
    await adrain()
    assert await handle.aget() == 3

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
    code, output = run(suite(tmp_path, tests))
    assert (code, passed(output)) == (0, 5), output


def test_a_process_needs_to_know_the_app(tmp_path: Path) -> None:
    folder = suite(tmp_path, "def test_it(taskflow_worker_process): ...\n")
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    code, output = run(folder)
    assert code == 1
    assert "say which it is, by taskflow_app = shop.tasks:app" in output


def test_a_suite_that_does_not_use_it_does_not_notice(tmp_path: Path) -> None:
    """No server, no import of what makes one, and nothing to be said about it."""
    tests = """
import sys

def test_nothing_is_imported():
    loaded = {name for name in sys.modules if name.startswith("taskflow.")}
    light = {"_version", "errors", "testing", "testing.plugin"}
    assert loaded - {"taskflow.attempts"} == {f"taskflow.{name}" for name in light}
"""
    (tmp_path / "test_it.py").write_text(tests)
    code, output = run(tmp_path, "--strict-markers", "--strict-config", "-p", "no:asyncio")
    assert (code, passed(output)) == (0, 1), output


def test_the_plugin_is_found_by_its_entry_point() -> None:
    """Its name is the module's, so that `-p` with it means the same one."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    assert parser["options.entry_points"]["pytest11"].strip() == f"{PLUGIN[1]} = {PLUGIN[1]}"
    assert "pytest" in parser["options.extras_require"]["testing"]
