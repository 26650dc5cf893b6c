"""`map`: an outcome for each call."""

from __future__ import annotations

import pytest

from taskflow import MapItem, TaskFlow
from taskflow.errors import (
    EnqueueError,
    InvalidArguments,
)


class TestMap:
    def test_what_cannot_be_enqueued_is_an_outcome_of_its_own(self) -> None:
        app = TaskFlow("shop", eager=True, retention=60)

        @app.task
        def double(number: int) -> int:
            return 2 * number

        outcomes = double.map([(1,), ("two",), {"number": 3}, {"nummer": 4}, "5"])  # type: ignore[list-item]

        assert len(outcomes) == 5
        assert [one.index for one in outcomes] == [0, 1, 2, 3, 4]
        assert [one.ok for one in outcomes] == [True, False, True, False, False]
        assert [result.get() for result in outcomes.results] == [2, 6]
        assert [type(one.error) for one in outcomes.failed] == [InvalidArguments] * 3
        assert "expected int" in str(outcomes[1].error)
        assert "tuple of positional arguments or a dict" in str(outcomes[4].error)
        assert repr(outcomes) == "MapResult(2 enqueued, 3 failed)"
        with pytest.raises(EnqueueError, match=r"3 of 5 calls.*; the first is number 1") as caught:
            outcomes.raise_for_errors()
        assert caught.value.__cause__ is outcomes[1].error

    def test_it_is_a_sequence(self) -> None:
        app = TaskFlow("shop", eager=True)

        @app.task
        def task() -> None: ...

        outcomes = task.map(() for _ in range(5))

        assert all(isinstance(one, MapItem) for one in outcomes)
        assert len(outcomes[1:3]) == 2
        assert not outcomes.failed
        outcomes.raise_for_errors()
        assert len(task.map([])) == 0
