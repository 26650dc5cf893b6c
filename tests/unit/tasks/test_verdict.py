"""What was read of a task, and what whoever waits for it makes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from taskflow.broker.commands.read import Snapshot
from taskflow.errors import ConfigurationError, ResultMismatch, ResultMissing, ResultNotKept, TaskFailed
from taskflow.message.message_crypto import NO_KEYS
from taskflow.message.returns import Returns
from taskflow.message.task_message import TaskMessage
from taskflow.states import State
from taskflow.tasks.verdict import PENDING, verdict

WAITING = [State.PENDING, State.ACTIVE, State.SCHEDULED, State.RETRY, State.AGGREGATING]


class ClientOfNoApp:
    """The client of a handle that was pickled, in a process without its app."""

    @property
    def crypto(self) -> Any:
        raise ConfigurationError("there is no app of this name")


def handle(*, retention: int | None = None, client: Any = None, returns: Any = None) -> Any:
    task = SimpleNamespace(name="work", _returns=Returns(returns)) if returns is not None else None
    client = client or SimpleNamespace(crypto=NO_KEYS)
    asked = "queue 'q' does not know"
    return SimpleNamespace(
        _coming=False, id="an-id", queue="q", _asked=asked, _retention=retention, _task=task, _client=client
    )


def read(state: State | None, result: bytes | None = None, **facts: Any) -> Snapshot:
    message = TaskMessage("work", None, "an-id", "q", **{"retention": 60, **facts}) if state else None
    return Snapshot(state, message, result, "")


def numbers() -> tuple[int, ...]:
    return (1,)


@pytest.mark.parametrize("state", WAITING)
def test_what_has_not_ended_is_waited_for(state: State) -> None:
    """A task in retry too: it is to be run again."""
    assert verdict(handle(), read(state)) is PENDING


def test_what_was_returned_is_converted_by_the_annotation_and_without_one_it_is_as_it_was_written() -> None:
    found = read(State.COMPLETED, b"[1,2]")

    assert verdict(handle(returns=numbers), found) == (1, 2)
    assert verdict(handle(), found) == [1, 2]
    with pytest.raises(ResultMismatch, match="'work' is annotated to return"):
        verdict(handle(returns=numbers), read(State.COMPLETED, b'"seven"'))


def test_a_task_that_returned_nothing_has_ended() -> None:
    """Go's may be completed without any result."""
    assert verdict(handle(), read(State.COMPLETED)) is None
    assert verdict(handle(), read(State.COMPLETED, b"null")) is None


def test_the_error_of_an_archived_task_is_there_without_its_app() -> None:
    """Of a handle that was pickled: its client is asked for nothing but the keys to a result."""
    found = read(State.ARCHIVED, error_msg="no space left")

    with pytest.raises(TaskFailed, match="no space left"):
        verdict(handle(client=ClientOfNoApp()), found)
    with pytest.raises(ConfigurationError):
        verdict(handle(client=ClientOfNoApp()), read(State.COMPLETED, b"1"))


@pytest.mark.parametrize("state", WAITING)
def test_a_result_that_will_never_be_kept_is_not_waited_for(state: State) -> None:
    with pytest.raises(ResultNotKept, match="retention="):
        verdict(handle(), read(state, retention=0))


def test_of_a_task_that_is_gone_the_handle_knows_whether_it_kept_anything() -> None:
    with pytest.raises(ResultNotKept):
        verdict(handle(retention=0), read(None))
    with pytest.raises(ResultMissing, match="'q' does not know task an-id"):
        verdict(handle(retention=60), read(None))
    with pytest.raises(ResultMissing):
        verdict(handle(), read(None))


def test_what_is_stored_counts_more_than_what_the_call_said() -> None:
    """Its retention may have been changed since, and a result that is there is given."""
    assert verdict(handle(retention=0), read(State.PENDING)) is PENDING
    assert verdict(handle(retention=0), read(State.COMPLETED, b"1", retention=0)) == 1
