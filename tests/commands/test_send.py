"""`app.send`: tasks by their names, on a real server and on a cluster, also those that the app does not know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from taskflow import State, TaskFlow
from taskflow.errors import DuplicateTask, InvalidArguments, InvalidOption, PayloadTooLarge, UnknownOption
from tests.servers import Server


@pytest.fixture
def app(url: str, queue: str) -> Iterator[TaskFlow]:
    app = TaskFlow("sends", broker=url, queue=queue, max_retries=3, retention=60)

    @app.task(name="known", max_retries=7)
    def known(number: int, text: str = "") -> None: ...

    yield app
    app.close()


def stored(app: TaskFlow, handle: Any) -> Any:
    """The task as the queue has it."""
    return app.inspector.task(handle.queue, handle.id)


def payload(app: TaskFlow, handle: Any) -> Any:
    return json.loads(stored(app, handle).message.payload)


def test_a_name_that_the_app_does_not_know_is_sent_all_the_same(app: TaskFlow, queue: str) -> None:
    """It was refused: in a mixed fleet the handlers are somewhere else, and each needed a stub in Python."""
    handle = app.send("email:deliver", user_id=42, tags=["a", None], at=datetime(2026, 1, 2, 3))

    found = stored(app, handle)
    assert (found.message.type, found.queue, found.state) == ("email:deliver", queue, State.PENDING)
    assert (found.message.max_retries, found.message.retention) == (3, 60)
    assert payload(app, handle) == {"user_id": 42, "tags": ["a", None], "at": "2026-01-02T03:00:00"}
    assert payload(app, app.send("bare")) == {}


def test_a_known_task_is_called_as_by_delay(app: TaskFlow) -> None:
    """Its declaration says how, and what does not fit fails here."""
    handle = app.send("known", 1, text="a")

    assert payload(app, handle) == {"number": 1, "text": "a"}
    assert stored(app, handle).message.max_retries == 7
    with pytest.raises(InvalidArguments, match="argument `number`: expected int"):
        app.send("known", "one")


def test_options_go_beside_the_arguments_celerys_way(app: TaskFlow, queue: str) -> None:
    other = f"{queue}-other"
    handle = app.send_task(
        "email:deliver", kwargs={"to": 1}, queue=other, countdown=600, id="mail-1", max_retries=0
    )

    found = stored(app, handle)
    assert (found.id, found.queue, found.state) == ("mail-1", other, State.SCHEDULED)
    assert found.message.max_retries == 0
    assert app.send_task("known", (1,), {"text": "b"}, queue=other).queue == other
    assert app.send("email:deliver", queue=other, to=1).queue == other
    app.send_task("once", kwargs={"n": 1}, unique=60)
    with pytest.raises(DuplicateTask):
        app.send_task("once", kwargs={"n": 1}, unique=60)
    with pytest.raises(UnknownOption, match="countdwn"):
        app.send_task("email:deliver", countdwn=5)  # type: ignore[call-arg]


def test_positional_arguments_of_an_unknown_task_are_refused_with_the_reason(app: TaskFlow) -> None:
    """What travels is an object of names, which a handler in Go reads as a struct; a list would be archived there."""
    for send in (app.send, lambda name, *args: app.send_task(name, args)):
        with pytest.raises(InvalidArguments, match=r"'email:deliver'.*does not know it.*by name"):
            send("email:deliver", 42)


def test_a_keyword_of_python_travels_without_its_underscore(app: TaskFlow) -> None:
    """As a parameter of that name does: a Go struct has `json:"from"`."""
    assert payload(app, app.send("email:deliver", from_=1, to_=2)) == {"from": 1, "to_": 2}
    assert payload(app, app.send_task("email:deliver", kwargs={"from": 1})) == {"from": 1}


def test_what_cannot_travel_is_refused(app: TaskFlow) -> None:
    with pytest.raises(InvalidArguments, match="argument `what`: object cannot travel as JSON"):
        app.send("email:deliver", what=object())
    with pytest.raises(PayloadTooLarge):
        app.send("email:deliver", what="x" * 2**20)
    with pytest.raises(InvalidOption, match="task name"):
        app.send("a{b}")
    with pytest.raises(InvalidArguments, match="args must be a list or tuple"):
        app.send_task("known", "12")


def test_a_parameter_called_queue_is_not_taken_for_the_option_or_the_other_way_round(app: TaskFlow) -> None:
    @app.task(name="drain")
    def drain(queue: str) -> None: ...

    with pytest.raises(InvalidArguments, match=r"parameter `queue`.*send_task"):
        app.send("drain", queue="images")
    assert payload(app, app.send_task("drain", kwargs={"queue": "images"})) == {"queue": "images"}
    assert payload(app, app.send("drain", "images")) == {"queue": "images"}


def test_coroutines_send_too_and_a_batch_gathers(app: TaskFlow) -> None:
    async def scene() -> list[Any]:
        try:
            return [
                await app.asend("email:deliver", to=1),
                await app.asend_task("known", (2,), max_retries=1),
            ]
        finally:
            await app.aclose()

    first, second = asyncio.run(scene())
    assert (payload(app, first), payload(app, second)) == ({"to": 1}, {"number": 2})
    with app.batch() as batch:
        handle = app.send("email:deliver", to=3)
        assert len(batch) == 1
    assert payload(app, handle) == {"to": 3}


def test_it_is_sealed_as_any_other(valkey: Server, queue: str) -> None:
    app = TaskFlow("sealed", broker=valkey.url, queue=queue, encryption_keys=["sixteen bytes and more"])

    message = stored(app, app.send("email:deliver", to="somebody")).message

    assert b"somebody" not in message.payload
    app.close()


def test_in_eager_mode_nobody_runs_what_is_somewhere_else() -> None:
    app = TaskFlow("eager", eager=True, retention=60)

    handle = app.send("email:deliver", to=1)

    assert (handle.state, app.result(handle.id).status) == (State.SCHEDULED, "PENDING")
