"""The long form, `TASKFLOW_CHAOS=long`: every scenario, and the planted bugs' healthy twins. Else it is not collected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.harness.test_plants import CAUGHT, catch, plan

from .policy import Policy
from .report import summary, wrong
from .run import carry_out
from .scenarios import SCENARIOS, Settings

pytestmark = [pytest.mark.xdist_group("chaos-long"), pytest.mark.timeout(3600)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_keeps_its_promise(name: str, tmp_path: Path) -> None:
    settings = Settings(minutes=float(os.environ.get("TASKFLOW_CHAOS_MINUTES", "10")))
    reports = list(SCENARIOS[name](tmp_path, settings))
    assert not any(wrong(report) for report in reports), "\n".join(map(summary, reports))


@pytest.mark.parametrize("name", CAUGHT)
def test_finds_nothing_without_the_plant(name: str, tmp_path: Path) -> None:
    """The run that catches a planted bug, of the product as it is: else the rule says nothing about the plant."""
    _, options = CAUGHT[name]
    report = carry_out(plan(name, {**options, "drain": 120}, ""), tmp_path)
    assert not wrong(report), summary(report)


@pytest.mark.parametrize(
    "name", [name for name, (_, options) in CAUGHT.items() if not options.get("cluster")]
)
def test_catches_although_one_command_in_a_hundred_fails(name: str, tmp_path: Path) -> None:
    """What goes wrong by itself must not hide what goes wrong by the planted bug. (The proxy is for one server.)"""
    expected, options = CAUGHT[name]
    faults: dict[str, Any] = {
        "nemeses": {"drop-replies": None},
        "faults": lambda rng: Policy(rng, probability=0.01),
    }
    catch(name, expected, {**faults, **options}, tmp_path)
