"""The running task as its code sees it."""

from __future__ import annotations

import threading
from contextvars import Context, copy_context

import pytest

from taskflow import TaskFlow, current_task
from taskflow.errors import NotInTask
from taskflow.message.task_message import TaskMessage
from taskflow.pipe.frames import Job
from taskflow.tasks.attempt import Attempt
from taskflow.tasks.in_thread import ThreadCall, nobody_awaits
from taskflow.tasks.limits import ThreadLimit
from taskflow.tasks.run import Pipeline

app = TaskFlow("context", broker="redis://127.0.0.1:1")


def follow(task_id: str) -> None:
    current_task()._then(TaskMessage(type="next", payload=b"{}", id=task_id, queue="q", timeout=60))


@app.task(name="both")
def both() -> None:
    threads = [threading.Thread(target=copy_context().run, args=(follow, name)) for name in ("f1", "f2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_two_threads_of_a_task_let_follow_it_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are the first to ask for the running task, at the same moment: each was given one of its own, and what was added to
    one of them was lost.
    """
    meeting = threading.Barrier(2)
    decoded = Attempt.message.fget
    assert decoded is not None

    def meet(attempt: Attempt) -> TaskMessage:
        if attempt.started_at and threading.current_thread() is not threading.main_thread():
            meeting.wait(5)
        return decoded(attempt)  # type: ignore[no-any-return]

    monkeypatch.setattr(Attempt, "message", property(meet))
    pipeline = Pipeline(app.tasks)
    message = TaskMessage(type="both", payload=b"{}", id="a", queue="q", timeout=60).encode()
    attempt = pipeline.receive(Job(1, "q", b"a", message))
    assert isinstance(attempt, Attempt)
    outcome = Context().run(pipeline.run, attempt, ThreadCall(nobody_awaits, ThreadLimit()).call)
    assert sorted(follower.id for follower in outcome.then) == ["f1", "f2"]


def test_no_task_is_running_outside_of_one() -> None:
    with pytest.raises(NotInTask, match="inside a task only"):
        current_task()
    with pytest.raises(RuntimeError):
        current_task()
