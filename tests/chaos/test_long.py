"""The long form: `TASKFLOW_CHAOS=long`. Ten minutes of everything, the failovers that must be shown, each nemesis alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .report import summary, wrong
from .scenarios import SCENARIOS, Settings

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.xdist_group("chaos-long"),
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        os.environ.get("TASKFLOW_CHAOS") != "long", reason="minutes each: TASKFLOW_CHAOS=long"
    ),
]


@pytest.mark.parametrize("name", SCENARIOS)
def test_keeps_its_promise(name: str, tmp_path: Path) -> None:
    settings = Settings(minutes=float(os.environ.get("TASKFLOW_CHAOS_MINUTES", "10")))
    reports = list(SCENARIOS[name](tmp_path, settings))
    assert not any(wrong(report) for report in reports), "\n".join(map(summary, reports))
