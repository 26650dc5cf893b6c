"""The long form, `TASKFLOW_CHAOS=long`: every blow, on everything that it can fall on. Else it is not collected."""

from __future__ import annotations

from pathlib import Path

import pytest

from .deployments import Deployment
from .nemeses import BLOWS
from .network import needed
from .test_short import carry_out

pytestmark = [pytest.mark.xdist_group("chaos-long"), pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, (_, kinds) in BLOWS.items() for kind in kinds]
)
def test_nobody_stands_still_longer_than_the_servers(
    name: str, kind: type[Deployment], tmp_path: Path
) -> None:
    needed()
    carry_out(name, kind, tmp_path)
