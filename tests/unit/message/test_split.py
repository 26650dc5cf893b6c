"""Messages of one kind differ in id and payload only: what `split_message` promises, against what protobuf reads."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from taskflow.errors import DecodeError
from taskflow.message.split import ends_of, payload_between, split_message
from taskflow.message.task_message import TaskMessage

from .test_task_message import FULL, SMALL, messages

ids = st.text(st.characters(max_codepoint=127), min_size=1, max_size=127)
payloads = st.none() | st.just(b"{}") | st.binary(min_size=1, max_size=300)


@given(messages, ids, payloads)
def test_the_parts_are_the_message(message: TaskMessage, id_: str, payload: bytes | None) -> None:
    assume(len(message.type.encode()) < 128)
    one = replace(message, id=id_, payload=payload)
    parts = split_message(one.encode())
    assert parts is not None
    assert parts[1:] == (id_.encode(), payload)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300, 16383, 16384, 16385, 2_000_000])
def test_payloads_of_every_length_are_found(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for message in (SMALL, FULL):
        parts = split_message(replace(message, payload=payload).encode())
        assert parts is not None
        assert parts[1:] == (message.id.encode(), payload or None)
        assert parts[0] == (split_message(message.encode()) or [b""])[0]


@given(messages, ids, ids, payloads, payloads)
def test_messages_are_of_one_kind_if_only_id_and_payload_differ(
    message: TaskMessage, first: str, second: str, one: bytes | None, other: bytes | None
) -> None:
    assume(len(message.type.encode()) < 128)
    kinds = {
        (split_message(replace(message, id=id_, payload=payload).encode()) or [b""])[0]
        for id_, payload in ((first, one), (second, other))
    }
    assert len(kinds) == 1


@given(messages, st.binary(max_size=400))
@example(SMALL, bytes.fromhex("0a046e6f6f7012001a0178220764656661756c74281940880e"))
@example(SMALL, bytes.fromhex("0a046e6f6f701280001a0178220764656661756c74281940880e"))
@example(SMALL, bytes.fromhex("0a046e6f6f701a02c3a9220764656661756c74281940880e"))
def test_what_is_of_the_kind_of_a_message_is_that_message_with_another_id_and_payload(
    message: TaskMessage, data: bytes
) -> None:
    """Whoever wrote it. What holds here is what the child builds on: it decodes one message of each kind."""
    known, other = split_message(message.encode()), split_message(data)
    if known is not None and other is not None and known[0] == other[0]:
        expected = replace(message, id=other[1].decode(), payload=other[2])
        assert TaskMessage.decode(data) == expected


@given(messages, st.data())
def test_damaged_messages_of_the_same_kind_are_still_read_as_protobuf_reads_them(
    message: TaskMessage, data: st.DataObject
) -> None:
    message = replace(message, type="noop", id="id-1")
    written = bytearray(message.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(len(written) - 1, 24)))
        written[at] = data.draw(st.integers(0, 255))
    known, other = split_message(message.encode()), split_message(bytes(written))
    assert known is not None
    if other is not None and known[0] == other[0]:
        expected = replace(message, id=other[1].decode(), payload=other[2])
        if other[1]:
            assert TaskMessage.decode(bytes(written)) == expected
        else:
            with pytest.raises(DecodeError):
                TaskMessage.decode(bytes(written))


@given(messages, ids, payloads)
def test_of_a_kind_that_is_known_the_payload_is_found_at_a_glance(
    message: TaskMessage, id_: str, payload: bytes | None
) -> None:
    """Up to 127 bytes of it, as most have; the others are split."""
    assume(len(message.type.encode()) < 128)
    known = message.encode()
    kind = split_message(known)
    assume(kind is not None)
    assert kind is not None
    head, tail = ends_of(known, kind[0])
    one = replace(message, id=id_, payload=payload).encode()
    found = payload_between(one, head, id_.encode(), tail)
    assert found == (payload or b"" if len(payload or b"") < 128 else None)


@given(messages, st.data())
def test_a_payload_is_found_at_a_glance_only_where_the_split_finds_it(
    message: TaskMessage, data: st.DataObject
) -> None:
    """A child runs what it finds there: of a message that is damaged, or of another kind or id, nothing may be found."""
    payload = data.draw(payloads)
    written = bytearray(replace(message, type="noop", id="id-1", payload=payload).encode())
    known = split_message(bytes(written))
    assert known is not None
    head, tail = ends_of(bytes(written), known[0])
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, min(len(written) - 1, 24)))
        written[at] = data.draw(st.integers(0, 255))
    id_ = data.draw(st.sampled_from([b"id-1", b"id-2", b"", b"d-1", "é".encode(), b"i" * 128]))
    found = payload_between(bytes(written), head, id_, tail)
    if found is not None:
        assert split_message(bytes(written)) == (known[0], id_, found or None)


@given(st.binary())
@example(b"")
@example(b"\x0a")
@example(b"\x0a\x01x\x12\xff\xff\xff\xff\x0f\x1a\x01y\x22\x01q")
def test_any_bytes_are_split_or_not(data: bytes) -> None:
    parts = split_message(data)
    if parts is not None:
        with suppress(DecodeError):
            TaskMessage.decode(data)
        assert len(parts[0]) + len(parts[1]) < len(data)


@pytest.mark.parametrize(
    "message",
    [
        replace(SMALL, type="t" * 128),
        replace(SMALL, id="i" * 128),
        replace(SMALL, id="é"),
        replace(SMALL, payload=b"x" * (1 << 21)),
    ],
    ids=["long name", "long id", "an id that is not ASCII", "two megabytes"],
)
def test_what_is_rare_is_left_to_protobuf(message: TaskMessage) -> None:
    assert split_message(message.encode()) is None
