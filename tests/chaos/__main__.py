"""`python -m tests.chaos`: carry scenarios out, print what came of them, and write the table of measured results."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .report import Report, load, summary
from .scenarios import SCENARIOS, Settings
from .table import nemeses, update


def main() -> int:
    """The command; 1 if any promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; all if none"
    )
    parser.add_argument("--minutes", type=float, default=10, help="of each mixed run (10)")
    parser.add_argument("--runs", type=int, default=5, help="of each failover (5)")
    parser.add_argument("--alone", type=float, default=30, help="seconds of each nemesis by itself (30)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="put the results into their marked places of this page")
    parser.add_argument("--nemeses", action="store_true", help="only say what there is and what each does")
    parser.add_argument("--keep", type=Path, help="keep ledgers, logs and reports in this directory")
    parser.add_argument(
        "--again", action="store_true", help="carry nothing out: read the reports that --keep kept"
    )
    options = parser.parse_args()
    if unknown := [name for name in options.scenarios if name not in SCENARIOS]:
        parser.error(f"there is no scenario {', '.join(unknown)}")
    if options.nemeses:
        print(nemeses())
        return 0
    if options.again and not options.keep:
        parser.error("--again needs --keep")
    settings = Settings(options.minutes, options.runs, options.alone, options.seed)
    with tempfile.TemporaryDirectory(prefix="taskflow-chaos-", ignore_cleanup_errors=True) as temporary:
        directory = options.keep or Path(temporary)
        reports: dict[str, list[Report]] = {}
        for name in options.scenarios or SCENARIOS:
            reports[name] = []
            made = kept(directory / name) if options.again else SCENARIOS[name](directory / name, settings)
            for report in made:
                print(summary(report), flush=True)
                reports[name].append(report)
    if options.report is not None:
        options.report.write_text(update(options.report.read_text(), reports))
    return 0 if all(report.kept for several in reports.values() for report in several) else 1


def kept(directory: Path) -> list[Report]:
    """The reports of a scenario that was carried out before, in the order in which it was."""
    return [
        load(path) for path in sorted(directory.rglob("report.json"), key=lambda path: path.stat().st_mtime)
    ]


if __name__ == "__main__":
    sys.exit(main())
