"""Exceptions that no program should raise: there is a verdict all the same, and soon."""

from __future__ import annotations

from taskflow import Reject
from taskflow.tasks import outcome


def test_groups_that_share_their_parts_are_looked_at_once_each() -> None:
    """Forty groups one within the other, each twice, have more ways through them than anybody has time for."""
    wanted = Reject("no use")
    group: BaseException = ExceptionGroup("deepest", [ValueError("first"), wanted])
    for _ in range(40):
        group = BaseExceptionGroup("twice", [group, group])
    assert outcome.deciding(group) is wanted
