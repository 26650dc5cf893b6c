"""`python -m tests.soak`: the soak, by the settings of the environment. Ends with 1 if something grows or stays."""

from __future__ import annotations

import os
import sys

from tests.soak.run import soak
from tests.soak.settings import ALLOCATOR, Settings


def main() -> int:
    """Run the soak, in a process with the allocator's settings: this one is the client that is looked at."""
    if ALLOCATOR.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, "-m", "tests.soak"], {**os.environ, **ALLOCATOR})
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
