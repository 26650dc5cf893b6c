"""A store that fails, hangs or is slow, and what is small only while it is packed: nothing is lost for it."""

from __future__ import annotations

from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.errors import BrokerUnavailable, StoreError
from taskflow.message import offload
from taskflow.message.compression import pack
from taskflow.message.content import COMPRESSION_HEADER, JSON, Content
from taskflow.message.encryption import EncryptionKeys
from taskflow.message.message_crypto import MessageCrypto
from taskflow.message.offload import Offload
from taskflow.message.task_message import TaskMessage
from taskflow.pipe.frames import Build, Built, Job, Refusal
from taskflow.states import Verb
from taskflow.tasks.joining import build
from taskflow.tasks.run import Pipeline


class Memory:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.fails: BaseException | None = None

    def put(self, key: str, data: bytes) -> None:
        self.kept[key] = data

    def get(self, key: str) -> bytes:
        if self.fails is not None:
            raise self.fails
        return self.kept[key]

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


def member(crypto: MessageCrypto, number: int, payload: bytes, **headers: str) -> Job:
    """A task of a group, as it is stored."""
    message = TaskMessage(
        type="event", payload=payload, id=f"id-{number}", queue="events", headers=dict(headers)
    )
    return Job(number, "events", f"id-{number}".encode(), crypto.close(message).encode())


def join(crypto: MessageCrypto, members: list[Job], most: int) -> Built:
    template = TaskMessage(type="digest", payload=b"", id="template", queue="events").encode()
    work = Build(1, template, "events", "joined-1", b"group", members)
    return build(Pipeline({}, crypto, most=most), crypto, work, most)


@pytest.mark.parametrize("error", [OSError("secret"), ConnectionError("secret"), SystemExit("secret")])
def test_tasks_of_a_group_wait_for_a_store_that_does_not_answer(error: BaseException) -> None:
    """A store that is away for a minute must not have whole groups archived unread."""
    store = Memory()
    crypto = MessageCrypto(offload=Offload(store, 100))
    members = [member(crypto, 1, b"{}"), member(crypto, 2, b'{"a":"' + b"x" * 500 + b'"}')]
    store.fails = error
    built = join(crypto, members, 10_000)
    (refused,) = built.refused
    assert isinstance(refused, Refusal)
    assert (refused.outcome.number, refused.outcome.verb) == (2, Verb.PUT_BACK)
    assert "secret" not in refused.reason
    assert built.message, "the other one is joined"


@pytest.mark.parametrize("squeezed", [{}, {COMPRESSION_HEADER: "zlib"}])
def test_a_group_that_no_worker_could_open_in_one_piece_is_joined_in_parts(squeezed: dict[str, str]) -> None:
    """A reference is small, and so is what is compressed: what they stand for is archived unread, and its parts are gone."""
    crypto = MessageCrypto(offload=Offload(Memory(), 100))
    large = b'{"a":"' + b"x" * 4000 + b'"}'
    members = [member(crypto, number, large, **squeezed) for number in range(1, 5)]
    built = join(crypto, members, 10_000)
    assert not built.message
    assert built.size > 10_000
    assert join(crypto, members[:2], 10_000).message


def test_what_is_as_large_as_it_may_be_can_be_read_when_it_is_encrypted_and_stored() -> None:
    """Encryption makes it a little longer; what was taken when it was enqueued is not to be refused for that."""
    crypto = MessageCrypto(
        None, EncryptionKeys([b"an-encryption-key-of-tests"]), offload=Offload(Memory(), 100)
    )
    message = TaskMessage(type="event", payload=b"x" * 1000, id="id-1", queue="events")
    assert crypto.open(crypto.close(message), "events", b"id-1", 1000) == b"x" * 1000


def test_a_result_stays_in_the_broker_while_it_cannot_be_noted() -> None:
    """The task has run. Without a store its verdict would wait for the broker, and so it does with one."""

    def away(queue: str, id: str, key: str) -> None:
        raise BrokerUnavailable("no answer")

    keeps = Offload(Memory(), 10, away)
    assert keeps.put("result", "events", "id-1", b"x" * 100) is None
    with pytest.raises(BrokerUnavailable):
        keeps.put("payload", "events", "id-1", b"x" * 100)


def test_arguments_that_took_too_long_are_not_enqueued(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no task yet when it is looked at is deleted: its task would come without arguments."""
    monkeypatch.setattr(offload, "LONGEST_ENQUEUE", -1.0)
    slow = Offload(Memory(), 10)
    with pytest.raises(StoreError, match="took over"):
        slow.put("payload", "events", "id-1", b"x" * 100)
    assert slow.put("result", "events", "id-1", b"x" * 100) is not None


def test_a_call_with_a_store_waits_no_longer_for_the_broker_than_its_arguments_are_kept() -> None:
    """`enqueue_timeout` may be longer for a task or a call: during an outage its arguments would be taken for garbage."""
    app = TaskFlow("shop", broker="redis://127.0.0.1:1", store=Memory())
    plain = TaskFlow("shop", broker="redis://127.0.0.1:1")
    assert app.client._enqueueing.within(5000) == offload.LONGEST_ENQUEUE
    assert app.client._enqueueing.within(5) == 5
    assert plain.client._enqueueing.within(5000) == 5000


def test_a_result_is_kept_as_it_is_where_it_cannot_be_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker lacks zstd, or whoever enqueued has a newer version: the task has run, and its result is not to be lost."""
    result = b"x" * 5000
    assert pack(result, "brotli") == result
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    assert pack(result, "zstd") == result


def test_what_nobody_can_compress_is_sent_as_it_is() -> None:
    message = TaskMessage(
        type="event", payload=b"x" * 5000, id="id-1", queue="events", headers={COMPRESSION_HEADER: "brotli"}
    )
    closed: Any = MessageCrypto().close(message)
    assert closed.payload == message.payload


def test_a_payload_is_known_to_be_in_the_store_wherever_its_header_says_so() -> None:
    """Else whoever writes the steps in another order has a coroutine's event loop wait for the store."""
    kind = f"{JSON}; location=store; compression=zlib"
    assert Content(kind).is_stored
    message = TaskMessage(
        type="event", payload=b"{}", id="id-1", queue="events", headers={"taskflow-content-type": kind}
    )
    assert MessageCrypto().is_in_store(message)
