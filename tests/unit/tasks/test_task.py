"""A task that is given the running task (`bind=True`)."""

from __future__ import annotations

import pytest

from taskflow import CurrentTask, TaskFlow
from taskflow.errors import (
    InvalidArguments,
    InvalidSignature,
)


class TestBind:
    def test_the_running_task_comes_first_and_does_not_travel(self, app: TaskFlow) -> None:
        @app.task(bind=True, queue="images")
        def bound(self: CurrentTask, number: int) -> tuple[str, int]:
            return self.queue, number

        message = bound._make_call((5,), {}, bound._options).message

        assert message.payload == b'{"number":5}'
        assert bound(5) == ("images", 5)  # a plain call gets a stand-in

    def test_the_caller_cannot_give_it(self, app: TaskFlow) -> None:
        @app.task(bind=True)
        def bound(self: CurrentTask, number: int) -> None: ...

        with pytest.raises(InvalidArguments, match=r"`self` is filled by taskflow \(bind=True\)"):
            bound.delay(self=None, number=5)  # type: ignore[call-arg]

    def test_it_needs_a_parameter(self, app: TaskFlow) -> None:
        with pytest.raises(InvalidSignature, match=r"def task\(self, \.\.\.\)"):
            app.task(bind=True, name="unbound")(lambda: None)  # type: ignore[arg-type, misc]
