"""The benchmarks run: whatever the numbers are, there are some, and all is cleaned up. Nothing is said about speed."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import redis

from benchmarks.contender import Place, Unavailable
from benchmarks.contenders.before import Before
from benchmarks.contenders.limit import Limit
from benchmarks.contenders.own_scripts import OwnScripts
from benchmarks.contenders.taskflow import Taskflow
from benchmarks.machine import look
from benchmarks.processes import PROGRAMS, call, group_memory
from benchmarks.report import page, picture
from benchmarks.report.tables import Table, tables
from benchmarks.run import Plan, Run
from benchmarks.scenarios.base import Size
from benchmarks.scenarios.table import SCENARIOS
from benchmarks.server import Server
from benchmarks.stats import Metric, Results, Spread, percentile

ROOT = Path(__file__).parents[2]


def test_a_small_run_gives_numbers_ratios_and_a_page(tmp_path: Path) -> None:
    scenarios = [SCENARIOS[name] for name in ("single", "bulk", "drain")]
    run = Run(
        Plan([Taskflow(), Limit(), OwnScripts()], scenarios, rounds=1, size=Size(tasks=200), awake=False),
        lambda _: None,
    )

    results = run.run()

    assert results.absent == {}
    metrics = [metric for scenario in scenarios for metric in scenario.metrics]
    rates = [metric for metric in metrics if metric.key.endswith(".rate")]
    for metric in rates:
        for name in ("taskflow", "limit", "own-scripts"):
            spread = results.spread(name, metric.key)
            assert spread is not None, (name, metric.key)
            assert spread.least > 0
        ratio = results.ratio("taskflow", "limit", metric)
        assert ratio is not None
        assert ratio.median > 0

    shown = tables(results, run.contenders, scenarios)
    image = picture.draw(results, run.contenders, metrics)
    out = tmp_path / "benchmarks.md"
    out.write_text("# By hand\n")
    page.write(out, shown, image, look(), {"Server": run.server}, {"other": "cannot be installed"})

    text = out.read_text()
    assert text.startswith("# By hand\n" + page.MARK)
    assert "## Drain, one process (tasks/s)" in text
    assert "other: cannot be installed" in text
    ElementTree.fromstring((tmp_path / "benchmarks.svg").read_text())

    page.write(out, shown, image, look(), {}, {})
    assert out.read_text().count(page.MARK) == 1


def test_the_limit_has_nothing_of_taskflows() -> None:
    """Else it would become slower and faster with what it is to judge."""
    code = "import sys, limit_app; print([name for name in sys.modules if name.startswith('taskflow')])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROGRAMS,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_contender_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--contenders", "cellery"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "no contender 'cellery'" in done.stderr
    assert "celery" in done.stderr


def test_ratios_are_made_round_by_round_and_say_how_many_times_better() -> None:
    results = Results()
    for round_, (mine, theirs) in enumerate([(10.0, 5.0), (30.0, 10.0), (8.0, 8.0)]):
        results.add("a", "x.rate", round_, mine)
        results.add("b", "x.rate", round_, theirs)

    assert results.ratio("a", "b", Metric("x.rate", "x", "1/s")) == Spread(2.0, 1.0, 3.0)
    assert results.ratio("b", "a", Metric("x.rate", "x", "ms", higher=False)) == Spread(2.0, 1.0, 3.0)
    assert results.ratio("a", "c", Metric("x.rate", "x", "1/s")) is None


def test_a_round_that_one_has_missed_is_not_compared() -> None:
    results = Results()
    results.add("a", "x.rate", 0, 10.0)
    results.add("a", "x.rate", 1, 100.0)
    results.add("b", "x.rate", 0, 5.0)

    assert results.ratio("a", "b", Metric("x.rate", "x", "1/s")) == Spread(2.0, 2.0, 2.0)


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(number) for number in range(1, 101)]

    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile([7.0], 99) == 7


def test_the_page_escapes_what_would_break_a_table(tmp_path: Path) -> None:
    out = tmp_path / "page.md"

    page.write(out, [Table("T", ("", "x"), [("a|b", "1")])], "<svg/>", look(), {}, {})

    assert "| a\\|b | 1 |" in out.read_text()


def test_what_another_commit_was_is_measured_by_its_own_code(tmp_path: Path) -> None:
    """`--before COMMIT`: otherwise the two would be the same program, and the ratio 1 whatever was changed."""
    before = Before("HEAD")
    scenario = SCENARIOS["memory"]
    run = Run(
        Plan([Taskflow(), before], [scenario], rounds=2, size=Size(tasks=200), awake=False, always=True),
        lambda _: None,
    )
    results = run.run()
    assert results.absent == {}
    for metric in scenario.metrics:
        assert len(results.values[before.name, metric.key]) == 2
    place = Place(Server(0, subprocess.Popen(["true"]), redis.Redis()), tmp_path)
    place.server.process.wait()
    code = "import taskflow; print(taskflow.__file__)"
    found = call([before.interpreter, "-c", code], before.environment(place), 20)
    assert f"before-{before.version}" in found


def test_a_commit_that_git_does_not_know_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="git knows no commit 'nonsense'"):
        Before("nonsense").prepare()


def test_memory_is_counted_of_all_that_a_worker_has_started() -> None:
    """A worker's children are groups of their own: only the worker itself was counted, and it looked as if it had halved."""
    held = 30_000_000
    child = f"x = bytearray({held}); x[::4096] = b'1' * len(x[::4096]); print(1, flush=True); import sys; sys.stdin.read()"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], start_new_session=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        assert group_memory(process.pid) > held
        process.communicate(timeout=20)


def test_what_reports_cost_is_counted() -> None:
    """A task that reports all the time costs no more calls than one that reports now and then; the end says so."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.reports",
        "--seconds",
        "2",
        "--few",
        "20",
        "--many",
        "5000",
        "--lines",
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert "talkative: 5,000 reports in 2 s" in run.stdout, run.stdout + run.stderr
    assert "talkative/quiet: calls " in run.stdout


def test_what_requests_leave_open_is_counted() -> None:
    """Of both web servers, whose first process has enqueued before the fork where there is one."""
    command = [sys.executable, "-m", "benchmarks.serving", "--requests", "20", "--clients", "2"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    told = run.stdout.splitlines()
    assert [line.split(": ")[0] for line in told] == ["flask", "fastapi"], run.stdout + run.stderr
    for line in told:
        assert ": 20 requests in " in line
        assert " 0 refused, 20 tasks; connections " in line
