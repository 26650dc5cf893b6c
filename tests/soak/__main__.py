"""`python -m tests.soak`: the soak, by the settings of the environment. Ends with 1 if something grows or stays."""

from __future__ import annotations

import sys

from tests.soak.run import soak
from tests.soak.settings import Settings


def main() -> int:
    settings = Settings.from_environment()
    print(settings, flush=True)
    report = soak(settings)
    print("\n".join(report.lines()))
    problems = report.problems(settings)
    for problem in problems:
        print(f"PROBLEM: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
