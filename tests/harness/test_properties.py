"""What a property test says when it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_property_that_fails_is_said_before_its_example_is_made_shorter() -> None:
    """Shrinking takes up to five minutes, in which nothing else is written: a run looked as if it hung."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "tests/properties/planted.py"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            said = [process.stderr.readline(), process.stderr.readline()]
            early = process.poll() is None
            report, rest = process.communicate(timeout=120)
        finally:
            process.kill()
    assert "test_planted has failed (AssertionError: over ten" in "".join(said)
    assert early
    assert "has failed" not in rest, "it is said once"
    assert "1 failed" in report
    assert "state.goes_up(by=" in report, "the report is the same as ever"
