"""The test of the test: each planted bug is caught, by the rule that is there for it."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path
from typing import Any

import pytest

from .fleet import WorkerOptions
from .plants import PLANTS
from .policy import Fate, Policy
from .report import summary, wrong
from .run import Plan, carry_out

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

LONG = os.environ.get("TASKFLOW_CHAOS") == "long"


def only(script: str, *kinds: Fate, every: int = 3) -> dict[str, Any]:
    """Faults at one script alone."""
    return {
        "nemeses": {"drop-replies": None},
        "faults": lambda rng: Policy(rng, every=every, kinds=kinds, only=(script,)),
    }


CAUGHT: dict[str, tuple[str, dict[str, Any]]] = {
    "acknowledge-first": ("tasks lost", {"nemeses": {"child-kill": (0.5, 1.0)}}),
    "dequeue-ignores-token": ("stranded until their lease", {"lease": 8, **only("dequeue", Fate.CLOSE)}),
    "no-fencing": (
        "no late verdict was refused",
        {"nemeses": {"worker-pause": (1.0, 2.0)}, "lease": 4, "seconds": 15},
    ),
    "resend-has-a-fresh-id": ("ended more than once without any blow", only("enqueue", Fate.CLOSE)),
    "resend-is-a-conflict": ("producer was told that they were refused", only("enqueue", Fate.CLOSE)),
    "verdict-is-not-repeated": (
        "ended more than once without any blow",
        {"nemeses": {"refuse": (1.0, 2.0)}, "lease": 12, "seconds": 10},
    ),
    "heartbeat-among-tasks": ("ended more than once without any blow", {"lease": 3, "mix": "gil"}),
    "recovery-loses": ("tasks lost", {"nemeses": {"worker-kill": (1.0, 2.0)}, "lease": 4}),
    "child-takes-along": ("did not drain", {"nemeses": {"child-kill": (0.5, 1.0)}, "drain": 8}),
    "wait-elsewhere": (
        "durable calls returned while no replica could confirm",
        {"nemeses": {"replica-pause": (0.5, 1.0)}, "cluster": True, "durable": "true"},
    ),
}


def plan(name: str, options: dict[str, Any], plant: str) -> Plan:
    values: dict[str, Any] = {
        "seconds": 7.0,
        "rate": 100,
        "warm_up": 1.0,
        "workers": WorkerOptions(processes=1),
    }
    return Plan(
        f"plant-{name}", plant=plant, seed=random.Random(name).randrange(1000), **{**values, **options}
    )


def test_every_plant_has_its_test() -> None:
    assert CAUGHT.keys() == PLANTS.keys()


@pytest.mark.parametrize("name", CAUGHT)
def test_catches(name: str, tmp_path: Path) -> None:
    expected, options = CAUGHT[name]
    report = carry_out(plan(name, options, name), tmp_path)
    assert re.search(expected, "\n".join(wrong(report))), (
        f"{PLANTS[name].description}: not caught\n{summary(report)}"
    )


@pytest.mark.skipif(not LONG, reason="the short form has no healthy twins; TASKFLOW_CHAOS=long")
@pytest.mark.parametrize("name", CAUGHT)
def test_finds_nothing_without_the_plant(name: str, tmp_path: Path) -> None:
    """The same run of the product as it is: else the rule says nothing about the plant."""
    _, options = CAUGHT[name]
    report = carry_out(plan(name, options, ""), tmp_path)
    assert not wrong(report), summary(report)
