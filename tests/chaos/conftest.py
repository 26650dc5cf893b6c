"""The chaos tests are marked, so that the everyday suite can leave them out."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: kills servers and workers under load")
