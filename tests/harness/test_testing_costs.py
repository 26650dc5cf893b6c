"""The costs of private servers for tests are measured: there are figures, and nothing is left."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from benchmarks.testing import main


@pytest.mark.timeout(200)
def test_the_figures_of_the_page_are_measured() -> None:
    done = CliRunner().invoke(main, ["--rounds", "2", "--no-suite"])
    assert done.exception is None, done.output
    assert "the server: started in " in done.output
    assert "a worker in a thread: takes tasks after " in done.output
