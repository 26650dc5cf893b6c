"""A property that does not hold, for `tests/harness`: pytest collects this file only where it is named."""

from __future__ import annotations

import time

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.properties.conftest import Search


class Counter(RuleBasedStateMachine):
    """Does not get over ten, slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @rule(by=st.integers(0, 3))
    def goes_up(self, by: int) -> None:
        time.sleep(0.002)
        self.count += by
        assert self.count < 10, "over ten"


def test_planted(search: Search, profile: settings) -> None:
    search(Counter, settings(profile, database=None))
