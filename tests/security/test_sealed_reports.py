"""What tasks say of themselves cannot be read on the server where the app encrypts, and by nobody without its keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from taskflow import LogLines, Progress, TaskFlow
from taskflow.broker.commands.report import read_chunks
from taskflow.broker.said import UNREADABLE
from taskflow.broker.sync import Broker
from taskflow.errors import DecryptionError, NotForThisWorker
from taskflow.message.message_crypto import NO_KEYS, MessageCrypto
from tests.security.conftest import Stored
from tests.security.keys import CANARY, ENCRYPTION, OLD_ENCRYPTION
from tests.servers import Server
from tests.workers import WorkerProcess

Worker = Callable[..., WorkerProcess]

LINES = [f"said {CANARY}", f"logged {CANARY}", f"last {CANARY}"]


@pytest.mark.parametrize("app", ["encrypted", "sealed"])
def test_notes_and_lines_are_opaque_on_the_server_and_plain_for_who_has_the_keys(
    apps: Any, worker: Worker, stored: Stored, queue: str, app: str
) -> None:
    """A task that says which customer it is at has said an argument."""
    with worker(app):
        result = getattr(apps, app).tasks["say"].options(queue=queue).delay(CANARY)
        events = list(result.watch(20))
    task, info = stored.task(result.id), result.info()
    lines = [line.text for event in events if isinstance(event, LogLines) for line in event.lines]

    assert {b"progress", b"lines:1", b"lines:2", b"reported"} <= set(task)
    assert not any(CANARY.encode() in value for value in task.values())
    assert lines == LINES
    assert [line.text for line in info.lines] == LINES
    assert info.progress.note == f"at {CANARY}"
    assert [event.note for event in events if isinstance(event, Progress)] == [f"at {CANARY}"]


def test_who_has_no_key_sees_how_far_it_is_and_nothing_that_it_said(
    apps: Any, worker: Worker, valkey: Server, queue: str
) -> None:
    """Numbers are no secret, and an operator without the keys wants to see that it gets on."""
    with worker("encrypted"):
        result = apps.encrypted.tasks["say"].options(queue=queue).delay(CANARY)
        result.get(20)
    stranger = TaskFlow("stranger", broker=valkey.url)
    info = stranger.result(result.id, queue=queue).info()
    events = list(stranger.result(result.id, queue=queue).watch(5))
    stranger.close()

    assert info.progress is not None
    assert (info.progress.fraction, info.progress.note) == (0.5, UNREADABLE)
    assert info.lines == ()
    assert CANARY not in repr(events)


def test_with_signing_keys_alone_they_are_stored_as_they_are(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    """Such keys hide nothing; and what is shown to people is not acted on."""
    with worker("signed"):
        result = apps.signed.tasks["say"].options(queue=queue).delay(CANARY)
        result.get(20)

    assert CANARY.encode() in stored.task(result.id)[b"progress"]
    assert [line.text for line in result.info().lines] == LINES


def test_what_one_task_has_said_cannot_be_put_into_anothers_mouth(
    apps: Any, worker: Worker, broker: Broker, queue: str
) -> None:
    with worker("encrypted"):
        one, other = (
            apps.encrypted.tasks["say"].options(queue=queue).delay(text) for text in ("one", "other")
        )
        assert (one.get(20), other.get(20)) == ("one", "other")
    (first, *_) = broker.run(read_chunks(queue, one.id, 1, 5))
    crypto = apps.encrypted._crypto

    assert "said one" in crypto.open_text(queue, one.id.encode(), first)
    for place, task_id in ((queue, other.id), ("elsewhere", one.id)):
        with pytest.raises(DecryptionError):
            crypto.open_text(place, task_id.encode(), first)


def test_a_text_that_no_key_here_opens_is_said_to_be_so() -> None:
    old, new = (MessageCrypto.of(None, [key]) for key in (OLD_ENCRYPTION, ENCRYPTION))
    assert old is not None
    assert new is not None
    text = old.close_text("q", b"id", "ünlü")

    assert old.open_text("q", b"id", text) == "ünlü"
    for crypto in (new, NO_KEYS):
        with pytest.raises(NotForThisWorker):
            crypto.open_text("q", b"id", text)
    with pytest.raises(DecryptionError):
        old.open_text("q", b"id", text[:9] + "not base64")
