"""`pytest -p tests.faults.plugin --fault-rate=0.01`: commands fail, in the tests' own process, in workers and in children.

At the end stands how often each command was called and failed. With `--fault-strict` the run fails if one of them has not
failed in both ways, unless it was called a single time.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.faults import inject
from tests.faults.exact import EXACT
from tests.faults.policy import VARIABLE, Faults, story, table, totals

SITE = Path(__file__).parent / "site"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--fault-rate", type=float, default=0.0, help="part of the commands that fail")
    group.addoption(
        "--fault-seed", type=int, default=None, help="of the dice; by chance, and shown, unless given"
    )
    group.addoption(
        "--fault-strict", action="store_true", help="every command that is used has to fail in both ways"
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--fault-rate"):
        return
    if VARIABLE not in os.environ:
        # The first process of the run; its xdist workers and all they start inherit this.
        seed = config.getoption("--fault-seed")
        seed = random.randrange(10**6) if seed is None else seed
        directory = Path(tempfile.mkdtemp(prefix="taskflow-faults-"))
        os.environ.update(Faults(config.getoption("--fault-rate"), seed, directory).environment())
        path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(SITE), *([path] if path else [])])
    if inject.current is None:
        faults = Faults.from_environment()
        assert faults is not None
        inject.install(faults)
    assert inject.current is not None
    inject.current.paused = True


def pytest_report_header(config: pytest.Config) -> str | None:
    return f"faults: {os.environ[VARIABLE]}" if config.getoption("--fault-rate") else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """What a test starts inherits the faults, unless the test is about exact replies."""
    if not _is_exact(item):
        return (yield)
    saved = os.environ.pop(VARIABLE, None)
    try:
        return (yield)
    finally:
        if saved is not None:
            os.environ[VARIABLE] = saved


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    faults = inject.current
    if faults is None or _is_exact(item):
        return (yield)
    faults.begin(item.nodeid)
    faults.paused = False
    try:
        return (yield)
    finally:
        faults.paused = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows which faults it met."""
    report = yield
    if report.failed and VARIABLE in os.environ:
        report.sections.append(("faults", "\n".join(story(_directory(), call.start)) or "none"))
    return report


def _is_exact(item: pytest.Item) -> bool:
    return any(item.nodeid.startswith(prefix) for prefix in EXACT)


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if not config.getoption("--fault-strict") or hasattr(config, "workerinput"):
        return
    if _spared() and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--fault-rate"):
        return
    rate, seed, _ = os.environ[VARIABLE].split(",", 2)
    terminalreporter.section("faults")
    terminalreporter.line(f"--fault-rate={rate} --fault-seed={seed}")
    for line in table(totals(_directory())):
        terminalreporter.line(line)
    for name in _spared():
        terminalreporter.line(f"{name} has not failed in both ways")


def _spared() -> list[str]:
    """The commands that were used more than once and have not failed in both ways."""
    counts = sorted(totals(_directory()).items())
    return [name for name, one in counts if one.calls > 1 and not (one.before and one.after)]


def _directory() -> Path:
    return Path(os.environ[VARIABLE].split(",", 2)[2])
