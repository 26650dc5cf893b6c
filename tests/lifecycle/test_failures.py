"""What a real worker keeps of attempts that failed, whatever ended them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from taskflow.attempts import FailedAttempt
from taskflow.inspector import Inspector
from taskflow.states import State
from tests.lifecycle.conftest import Ledger
from tests.servers import wait_until


def test_whatever_ended_an_attempt_is_kept_with_its_task(
    tasks: Any, worker: Any, ledger: Ledger, queue: str, broker: Any
) -> None:
    """One failure of each kind, read from outside: the type, the time, the worker, and the traceback where there is one."""
    inspector = Inspector(broker)

    def attempts(result: Any, state: State) -> tuple[FailedAttempt, ...]:
        wait_until(lambda: result.state is state, description=f"{state} of {result.id}", timeout=30)
        found = inspector.task(queue, result.id)
        assert result.info().attempts == found.attempts
        return found.attempts

    late = tasks.work.options(expires=timedelta(seconds=0)).delay("late")
    with worker(concurrency=4) as process:
        once, rejected = tasks.fail_once.delay("once"), tasks.reject.delay("not wanted")
        stuck = tasks.stuck.delay("swallow")

        (one,) = attempts(once, State.COMPLETED)
        assert (one.kind, one.module, one.text) == ("ValueError", "builtins", "the first attempt fails")
        assert one.traceback.splitlines()[1].endswith("in fail_once")
        assert one.traceback.splitlines()[2] == '    raise ValueError("the first attempt fails")'
        assert f":{process.pid}:" in one.worker
        assert one.seconds is not None
        assert 0 <= one.seconds < 5
        (one,) = attempts(rejected, State.ARCHIVED)
        assert (one.kind, one.text) == ("Reject", "not wanted")
        (one,) = attempts(late, State.ARCHIVED)
        assert (one.kind, one.seconds) == ("Expired", None)
        (one,) = attempts(stuck, State.ARCHIVED)
        assert (one.kind, one.text[:15]) == ("TaskTimeout", "hard time limit")
        assert one.seconds is not None
        assert one.seconds >= 1.9
        *crashes, last = attempts(tasks.kill_own_process.delay("poison"), State.ARCHIVED)
        assert [crash.kind for crash in crashes] == ["ProcessDied"] * 3
        assert all("SIGKILL" in crash.text and crash.seconds is not None for crash in crashes)
        assert (last.kind, last.text, last.seconds) == (
            "ProcessDied",
            "its process died 3 times while it ran",
            None,
        )
