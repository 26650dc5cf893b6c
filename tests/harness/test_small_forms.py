"""What docs/measurements/scale.md measures runs, and what does not depend on the machine's speed holds in its small form."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.machine import look
from benchmarks.report import page
from benchmarks.scale import cluster, crowd, many, nodes, slow, store
from benchmarks.scale.__main__ import write
from benchmarks.scale.cost import Cost
from tests.interop.golang import GoUnavailable, build_peer


@pytest.mark.timeout(300)
def test_big_numbers(tmp_path: Path) -> None:
    """A worker's memory does not grow by tasks that wait for their time; what is due at once, and a long queue, get done."""
    size = many.Size(scheduled=50_000, due=5_000, long=5_000, short=1_000, idle_seconds=3.0)

    scheduled, due, long = (many.measure(part, size, tmp_path, print)[0] for part in many.PARTS)

    before, during, after, _ = map(float, scheduled.rows[0])
    assert max(during, after) - before < 10
    assert float(due.rows[0][0]) > 0
    assert float(long.rows[0][0].replace(",", "")) > 0


@pytest.mark.timeout(200)
def test_a_crowd(tmp_path: Path) -> None:
    size = crowd.Size(workers=8, processes=2, seconds=1.0, tasks=2)

    costs, latency = crowd.measure(size, tmp_path, print)

    try:
        build_peer()
    except GoUnavailable:
        assert [row[0] for row in costs.rows][:1] == ["8 of taskflow's: a second of idleness"]
    else:
        assert float(costs.rows[0][1]) > 0
    assert latency.rows[0][-1] == "20"


@pytest.mark.timeout(100)
def test_a_slow_task_among_quick_ones(tmp_path: Path) -> None:
    """The quick ones do not wait for its end."""
    (table,) = slow.measure(slow.Size(rounds=1, tasks=20, slow_seconds=5), tmp_path, print)

    assert float(table.rows[0][0]) < 5000


@pytest.mark.timeout(200)
def test_clusters_and_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure is on the page, and what was written by hand above stays."""
    monkeypatch.setattr(store, "DIRECTORY", tmp_path / "kept")
    size = cluster.Size(masters=(1, 2), partitions=2, tasks=2_000, rounds=1)
    wide = nodes.Size(nodes=(3, 50), repeats=2)

    tables, figures = cluster.measure(size, tmp_path, print)
    tables += [*nodes.measure(wide, tmp_path, print), nodes.project(figures, wide, size.partitions)]
    store.keep("cluster", tables, look(), "python -m benchmarks.scale cluster")
    out = tmp_path / "scale.md"
    out.write_text("# By hand\n")
    write(out)

    assert set(figures) == {1, 2}
    assert all(figure.connections >= 1 and figure.requests > 0 for figure in figures.values())
    text = out.read_text()
    assert text.startswith("# By hand\n" + page.MARK)
    assert "One refresh of the topology" in text
    assert "Projected" in text


def test_a_cost_is_what_a_second_has_more_than_a_second_of_idleness() -> None:
    before, after = Cost(10, 100, 10, 1000, 1.0), Cost(20, 400, 60, 3000, 2.0)
    idle = Cost(1, 10, 1, 100, 0.05)

    gone = after.since(before)

    assert gone == Cost(10, 300, 50, 2000, 1.0)
    assert gone.without(idle, gone.seconds).each(10) == Cost(1, 20, 4, 100, 0.05)
