"""The test of the test: each planted bug is caught, by the rule that is there for it."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.fleet import WorkerOptions
from tests.chaos.plants import PLANTS
from tests.chaos.policy import Fate, Policy
from tests.chaos.report import summary, wrong
from tests.chaos.run import Plan, carry_out

pytestmark = pytest.mark.timeout(240)

ATTEMPTS = 5
"""A blow may find nothing to hit, more so on a busy machine: then the same plan is carried out once more."""


def only(script: str, *kinds: Fate, every: int = 3) -> dict[str, Any]:
    """Faults at one script alone."""
    return {
        "nemeses": {"drop-replies": None},
        "faults": lambda rng: Policy(rng, every=every, kinds=kinds, only=(script,)),
    }


HELD: dict[str, Any] = {"mix": "held", "rate": 20, "seconds": 0.0}
"""Enough tasks that run at any moment, on slots that are not all taken."""

STOLEN = "ended more than once without any blow|stranded until their lease ended"
"""A task was taken from a worker that lives. Its second attempt may end first, or alone: the first one's verdict is refused."""

CAUGHT: dict[str, tuple[str, dict[str, Any]]] = {
    "acknowledge-first": ("tasks lost", {"blows": ["child-kill"] * 2, **HELD}),
    "dequeue-ignores-token": ("stranded until their lease", {"lease": 4, **only("dequeue", Fate.CLOSE)}),
    "no-fencing": ("no late verdict was refused", {"blows": ["worker-pause"], "lease": 4, **HELD}),
    "resend-has-a-fresh-id": ("ended more than once without any blow", only("enqueue", Fate.CLOSE)),
    "resend-is-a-conflict": ("producer was told that they were refused", only("enqueue", Fate.CLOSE)),
    "verdict-is-not-repeated": (
        "ended more than once without any blow",
        {"blows": ["refuse"] * 2, "lease": 8, **HELD},
    ),
    "heartbeat-among-tasks": (STOLEN, {"lease": 3, "mix": "gil"}),
    "recovery-loses": ("tasks lost", {"blows": ["worker-kill"] * 2, "lease": 4, **HELD}),
    "child-takes-along": ("did not drain", {"blows": ["child-kill"] * 2, "drain": 6, **HELD}),
    "wait-elsewhere": (
        "durable calls returned while no replica could confirm",
        {"blows": ["replica-pause"], "seconds": 0.0, "cluster": True, "durable": "true"},
    ),
}


def plan(name: str, options: dict[str, Any], plant: str, attempt: int = 0) -> Plan:
    values: dict[str, Any] = {
        "seconds": 3.0,
        "rate": 100,
        "workers": WorkerOptions(processes=1),
    }
    seed = random.Random(f"{name}/{attempt}").randrange(1000)
    return Plan(f"plant-{name}", plant=plant, seed=seed, **{**values, **options})


def test_every_plant_has_its_test() -> None:
    assert CAUGHT.keys() == PLANTS.keys()


def test_every_plant_finds_its_ground() -> None:
    """A script that has changed may have nothing left to plant in: said here at once, not after a minute."""
    assert {script for plant in PLANTS.values() for script in plant.planted()}


@pytest.mark.parametrize("name", CAUGHT)
def test_catches(name: str, tmp_path: Path) -> None:
    expected, options = CAUGHT[name]
    catch(name, expected, options, tmp_path)


def catch(name: str, expected: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Carry the plan out until the planted bug is caught."""
    missed = []
    for attempt in range(ATTEMPTS):
        report = carry_out(plan(name, options, name, attempt), tmp_path / str(attempt))
        if re.search(expected, "\n".join(wrong(report))):
            return
        missed.append(summary(report))
    pytest.fail("\n".join([f"{PLANTS[name].description}: not caught", *missed]))
