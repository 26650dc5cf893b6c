"""TaskMessage against the bytes that Go's Asynq writes, and against bytes that nobody writes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskflow.errors import DecodeError, InvalidOption
from taskflow.message import taskflow_pb2
from taskflow.message.task_message import ERROR_TEXT_LIMIT, TaskMessage, sanitize_text, unique_key

SMALL = TaskMessage(type="noop", payload=None, id="x", queue="default", max_retries=25, timeout=1800)
SMALL_BYTES = "0a046e6f6f701a0178220764656661756c74281940880e"

FULL = TaskMessage(
    type="email:deliver",
    payload=b'{"user_id":42}',
    id="id-1",
    queue="default",
    max_retries=25,
    retried=2,
    error_msg="boom",
    timeout=1800,
    deadline=1893553445,
    unique_key="asynq:{default}:unique:email:deliver:1181f89307fa271072c095747d5813cc",
    last_failed_at=1700000000,
    retention=3600,
    completed_at=1700000001,
    group_key="g",
    headers={"trace": "abc"},
)
FULL_BYTES = (
    "0a0d656d61696c3a64656c69766572120e7b22757365725f6964223a34327d1a0469642d31220764656661756c74281930023a04626f6f6d"
    "40880e48a5aaf5860752456173796e713a7b64656661756c747d3a756e697175653a656d61696c3a64656c697665723a3131383166383933"
    "3037666132373130373263303935373437643538313363635880e2cfaa0660901c6881e2cfaa067201677a0c0a0574726163651203616263"
)

int32 = st.integers(0, 2**31 - 1)
int64 = st.integers(0, 2**63 - 1)
some = st.text(min_size=1)
messages = st.builds(
    TaskMessage,
    type=some,
    payload=st.none() | st.binary(min_size=1),
    id=some,
    queue=some,
    max_retries=int32,
    retried=int32,
    error_msg=st.text(),
    timeout=int64,
    deadline=int64,
    unique_key=st.text(),
    last_failed_at=int64,
    retention=int64,
    completed_at=int64,
    group_key=st.text(),
    headers=st.dictionaries(st.text(), st.text(), max_size=3),
)


@pytest.mark.parametrize(
    ("message", "written"), [(SMALL, SMALL_BYTES), (FULL, FULL_BYTES)], ids=["small", "full"]
)
def test_the_bytes_are_those_of_go(message: TaskMessage, written: str) -> None:
    assert message.encode().hex() == written
    assert TaskMessage.decode(bytes.fromhex(written)) == message


@given(messages)
def test_every_message_survives_the_round_trip(message: TaskMessage) -> None:
    assert TaskMessage.decode(message.encode()) == message


@given(messages)
def test_the_identity_is_how_the_encoding_begins(message: TaskMessage) -> None:
    """The first `identity_size` bytes hold type, payload, id and queue, and nothing after them does."""
    identity = TaskMessage(message.type, message.payload, message.id, message.queue, max_retries=0).encode()
    assert message.encode()[: message.identity_size()] == identity


@pytest.mark.parametrize("size", [1, 127, 128, 16383, 16384, 3_000_000])
def test_the_identity_of_large_payloads_counts_their_length_bytes(size: int) -> None:
    message = replace(SMALL, payload=b"x" * size)
    rest = replace(message, max_retries=0, timeout=0).encode()
    assert message.identity_size() == len(rest)


@given(st.binary())
@example(b"")
@example(bytes.fromhex(SMALL_BYTES)[:-1])
@example(b"\x0a\x02\xff\xff\x1a\x01x\x22\x01q")
def test_any_bytes_decode_or_are_a_decode_error(data: bytes) -> None:
    with suppress(DecodeError):
        TaskMessage.decode(data)


@given(messages, st.data())
def test_damaged_messages_decode_or_are_a_decode_error(message: TaskMessage, data: st.DataObject) -> None:
    written = bytearray(message.encode())
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] = data.draw(st.integers(0, 255))
    with suppress(DecodeError):
        TaskMessage.decode(bytes(written))


def test_invalid_utf8_in_a_text_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="not a message"):
        TaskMessage.decode(b"\x0a\x02\xff\xff\x1a\x01x\x22\x01q")


def test_a_message_without_an_id_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="lacks"):
        TaskMessage.decode(replace(SMALL, id="").encode())


def test_too_many_bytes_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(DecodeError, match=r"1,000 bytes is over the limit of 999"):
        TaskMessage.decode(b"\xff" * 1000, max_bytes=999)
    assert TaskMessage.decode(SMALL.encode(), max_bytes=len(SMALL.encode())) == SMALL


def test_unknown_fields_are_dropped_as_go_drops_them() -> None:
    field_100 = b"\xa2\x06\x03abc"
    assert TaskMessage.decode(SMALL.encode() + field_100).encode() == SMALL.encode()


def test_headers_are_written_in_a_fixed_order() -> None:
    one = replace(SMALL, headers={"b": "2", "a": "1"})
    other = replace(SMALL, headers={"a": "1", "b": "2"})
    assert one.encode() == other.encode()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": "\ud800"}, "id"),
        ({"error_msg": "\udcff"}, "error_msg"),
        ({"max_retries": 2**31}, "max_retries"),
        ({"deadline": 2**63}, "deadline"),
        ({"headers": {"a": "\ud800"}}, "headers"),
        ({"timeout": "5"}, "timeout"),
        ({"payload": "text"}, "payload"),
    ],
)
def test_a_field_that_cannot_be_written_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidOption, match=named):
        replace(SMALL, **change).encode()  # type: ignore[arg-type]


def test_the_lock_is_named_as_go_names_it() -> None:
    key = "asynq:{default}:unique:email:deliver:1181f89307fa271072c095747d5813cc"
    assert unique_key("default", "email:deliver", b'{"user_id":42}') == key
    assert unique_key("q", "t", None) == "asynq:{q}:unique:t:"
    assert unique_key("q", "t", b"") == "asynq:{q}:unique:t:d41d8cd98f00b204e9800998ecf8427e"


@given(st.text(st.characters(codec=None)), st.integers(0, 50))
def test_sanitized_text_is_always_valid_and_short_enough(text: str, limit: int) -> None:
    clean = sanitize_text(text, limit=limit)
    clean.encode()
    assert len(clean) <= limit
    if len(text) <= limit and text.isprintable():
        assert clean == text


def test_a_long_error_keeps_its_start_and_its_end() -> None:
    clean = sanitize_text("start" + "x" * 10_000 + "the end")
    assert clean.startswith("start")
    assert " … " in clean
    assert clean.endswith("the end")
    assert len(clean) == ERROR_TEXT_LIMIT


def test_lone_surrogates_become_the_replacement_character() -> None:
    assert sanitize_text("caf\udce9") == "caf\ufffd"
    assert sanitize_text("\U0001f600") == "\U0001f600"
    assert sanitize_text("a\x00b") == "a\x00b"


def test_our_descriptors_do_not_claim_gos_names() -> None:
    """Somebody else's generated asynq.proto can be loaded into the same process."""
    assert taskflow_pb2.DESCRIPTOR.name == "taskflow/message/taskflow.proto"
    assert taskflow_pb2.DESCRIPTOR.package == "taskflow.asynq"
