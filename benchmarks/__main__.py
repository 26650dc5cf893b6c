"""The command: `python -m benchmarks`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import click

from . import machine
from .contenders.before import Before
from .contenders.table import CONTENDERS
from .report import page, picture, terminal
from .report.tables import tables
from .run import LEAST_TASKS, Plan, Run
from .scenarios.base import Size
from .scenarios.table import EVERYDAY, SCENARIOS


@click.command()
@click.option(
    "--contenders",
    default="all",
    show_default=True,
    help="Names, with commas: " + ", ".join(c.name for c in CONTENDERS),
)
@click.option(
    "--scenarios",
    default=",".join(EVERYDAY),
    show_default=True,
    help="Names, or `all`: " + ", ".join(SCENARIOS),
)
@click.option(
    "--before",
    metavar="COMMIT",
    help="Measure the taskflow of this commit, too, as `before`; what is measured once else, is then measured in each round.",
)
@click.option("--rounds", default=5, show_default=True, help="How often everything is measured.")
@click.option(
    "--tasks",
    type=click.IntRange(min=LEAST_TASKS),
    default=50_000,
    show_default=True,
    help="Tasks of one measurement, at most.",
)
@click.option(
    "--seconds",
    default=3.0,
    show_default=True,
    help="What one measurement should take: slow contenders get fewer tasks.",
)
@click.option("--pings", default=100, show_default=True, help="Tasks of one measurement of latency.")
@click.option("--idle-seconds", default=10.0, show_default=True, help="How long an idle worker is watched.")
@click.option("--concurrency", default=20, show_default=True, help="Of every worker.")
@click.option(
    "--awake/--no-awake", default=True, show_default=True, help="Keep the cores from sleeping by idle loops."
)
@click.option("--seed", default=1, show_default=True, help="Of the order of contenders.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the page, such as docs/measurements/benchmarks.md, and its picture.",
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write every value of every round."
)
def main(
    contenders: str,
    scenarios: str,
    before: str | None,
    rounds: int,
    tasks: int,
    seconds: float,
    pings: int,
    idle_seconds: float,
    concurrency: int,
    awake: bool,
    seed: int,
    out: Path | None,
    json_path: Path | None,
) -> None:
    """Measure taskflow beside its peers, in one run on one real server."""
    # So that `with` blocks end every process also when the command is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    known = {kind.name: kind for kind in CONTENDERS}
    chosen = [known[name]() for name in _names(contenders, list(known), "contender")]
    if before is not None:
        chosen.append(Before(before))
    wanted = [SCENARIOS[name] for name in _names(scenarios, list(SCENARIOS), "scenario")]
    size = Size(tasks, seconds, pings, idle_seconds)
    run = Run(
        Plan(chosen, wanted, rounds, size, concurrency, awake, seed, always=before is not None),
        lambda line: click.echo(line, err=True),
    )
    facts = machine.look()
    results = run.run()
    found = tables(results, run.contenders, wanted)
    terminal.show(found)
    if out is not None:
        metrics = [metric for scenario in wanted for metric in scenario.metrics]
        described = {
            "Server": f"{run.server}, one, without persistence, on loopback",
            "Rounds": f"{rounds}, contenders in an order of chance; medians",
            "Command": f"`python -m benchmarks {' '.join(sys.argv[1:])}`",
        }
        image = picture.draw(results, run.contenders, metrics)
        page.write(out, found, image, facts, described, results.skipped)
    if json_path is not None:
        values = [
            {"contender": name, "metric": metric, "rounds": list(by_round.values())}
            for (name, metric), by_round in results.values.items()
        ]
        json_path.write_text(json.dumps(values, indent=1) + "\n")


def _names(given: str, known: list[str], what: str) -> list[str]:
    if given == "all":
        return known
    names = [name.strip() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise click.UsageError(f"no {what} {name!r}; there are {', '.join(known)}")
    return list(dict.fromkeys(names))


if __name__ == "__main__":
    main()
