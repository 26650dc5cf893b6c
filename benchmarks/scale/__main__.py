"""The command: `python -m benchmarks.scale`."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from .. import machine
from ..processes import awake
from ..report import page, terminal
from ..report.tables import Table
from . import cluster, crowd, many, nodes, slow, store

PARTS = ("crowd", "slow", *many.PARTS, "cluster")
Size = crowd.Size | slow.Size | many.Size | cluster.Size
Say = Callable[[str], None]


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--workers", default=200, show_default=True, help="crowd: idle workers.")
@click.option("--processes", default=20, show_default=True, help="crowd: whole processes, for the latency.")
@click.option("--tasks", default=1_000_000, show_default=True, help="scheduled, long: tasks.")
@click.option("--due", default=100_000, show_default=True, help="due: tasks of the same second.")
@click.option(
    "--drained", default=60_000, show_default=True, help="cluster: tasks on each number of masters."
)
@click.option("--rounds", default=3, show_default=True, help="cluster: how often.")
@click.option("--partitions", default=6, show_default=True, help="cluster: of the queue.")
@click.option(
    "--awake/--no-awake",
    "stay_awake",
    default=True,
    show_default=True,
    help="As for the benchmarks (crowd, slow, cluster).",
)
@click.option("--kept", is_flag=True, help="Measure nothing, only write what was kept.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write what each part has last found, as docs/measurements/scale.md.",
)
def main(
    parts: tuple[str, ...],
    workers: int,
    processes: int,
    tasks: int,
    due: int,
    drained: int,
    rounds: int,
    partitions: int,
    stay_awake: bool,
    kept: bool,
    out: Path | None,
) -> None:
    """Measure what many workers (crowd), a slow task (slow), many tasks (scheduled, due, long) and many nodes (cluster) cost;
    without PARTS all.

    Each part is kept under build/scale, so that they can be measured one by one and written on one page.
    """
    # So that `with` blocks end every process also when the command is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def say(line: str) -> None:
        click.echo(line, err=True)

    sizes: dict[str, Size] = {
        "crowd": crowd.Size(workers, processes),
        "slow": slow.Size(),
        **dict.fromkeys(many.PARTS, many.Size(scheduled=tasks, due=due, long=tasks)),
        "cluster": cluster.Size(partitions=partitions, tasks=drained, rounds=rounds),
    }
    for part in () if kept else parts or PARTS:
        facts = machine.look()
        directory = Path(tempfile.mkdtemp(prefix="taskflow-scale-"))
        try:
            with awake(stay_awake and part not in many.PARTS):
                tables = _measure(part, sizes[part], directory, say)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        terminal.show(tables)
        command = f"python -m benchmarks.scale {shlex.join([part, *_options(sys.argv[1:])])}"
        store.keep(part, tables, facts, command)
    if out is not None:
        write(out)


def _measure(part: str, size: Size, directory: Path, say: Say) -> list[Table]:
    match size:
        case crowd.Size():
            return crowd.measure(size, directory, say)
        case slow.Size():
            return slow.measure(size, directory, say)
        case many.Size():
            return many.measure(part, size, directory, say)
        case _:
            found, figures = cluster.measure(size, directory, say)
            wide = nodes.Size()
            return [
                *found,
                *nodes.measure(wide, directory, say),
                nodes.project(figures, wide, size.partitions),
            ]


def _options(words: list[str]) -> list[str]:
    """The words of the command without the parts' names and without where to write."""
    kept = [word for word in words if word not in PARTS]
    if "--out" in kept:
        at = kept.index("--out")
        del kept[at : at + 2]
    return kept


def write(out: Path) -> None:
    """The page, of what every part has last found."""
    kept = [store.read(part) for part in PARTS if store.is_kept(part)]
    if not kept:
        raise click.UsageError("nothing has been measured yet")
    runs = {
        f"Run of `{one.part}`": f"{one.facts.date}, commit {one.facts.commit}, load {one.facts.load:.2f}; `{one.command}`"
        for one in kept
    }
    newest = max((one.facts for one in kept), key=lambda facts: facts.date)
    facts = dataclasses.replace(newest, load=max(one.facts.load for one in kept))
    page.write(out, [table for one in kept for table in one.tables], None, facts, runs, {})


if __name__ == "__main__":
    main()
