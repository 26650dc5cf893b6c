"""The short form, for every change: the master's host goes silent, of a cluster and of a service with Sentinels."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .deployments import Deployment, SixNodes, Watched
from .nemeses import BLOWS
from .network import needed
from .run import Running, deployed, judge, numbers

pytestmark = pytest.mark.timeout(240)

SLACK = 0.0
"""Seconds that a machine with eight test runs on two cores may add."""


def carry_out(name: str, kind: type[Deployment], directory: Path, *, slack: float = SLACK) -> None:
    """One blow, and what producers and worker made of it."""
    spare = 3 if name == "moved" and kind is Watched else 0
    with deployed(kind, directory, spare=spare) as deployment:
        blow = BLOWS[name][0](deployment)
        with Running(deployment, directory, url=blow.url) as running:
            running.seen.struck = time.monotonic()
            blow.strike()
            try:
                blow.await_promotion()
                running.seen.promoted = time.monotonic()
                running.go_on(running.seen.promoted, 20)
            finally:
                blow.mend()
            seen = running.finish()
        wrong = judge(seen, slack=slack) + blow.wrong(seen, slack)
        measured = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in numbers(seen).items())
        print(f"{name} on {kind.__name__}: {measured}")  # shown where a test fails, and with -rP
        assert not wrong, measured + "\n" + "\n".join(wrong)


@pytest.mark.parametrize("kind", [SixNodes, Watched], ids=["cluster", "sentinel"])
def test_producers_and_workers_find_the_successor_of_a_silent_host(
    kind: type[Deployment], tmp_path: Path
) -> None:
    """A host that is gone answers nothing, while a killed process answers with a reset. Producers spent their whole limit on
    connecting to it, call after call, until somebody restarted them.
    """
    needed()
    carry_out("silent", kind, tmp_path)
