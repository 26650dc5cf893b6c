"""`MessageTemplate` writes what `TaskMessage.encode` writes, byte for byte."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.errors import InvalidOption
from taskflow.message.task_message import TaskMessage
from taskflow.message.template import MessageTemplate
from tests.unit.message.test_task_message import FULL, FULL_BYTES, SMALL, SMALL_BYTES, messages


@given(messages, messages)
def test_it_writes_what_the_encoder_writes(message: TaskMessage, other: TaskMessage) -> None:
    """Made from another message of the same kind, so nothing of that one's id, payload and lock may show."""
    template = MessageTemplate(
        replace(message, id=other.id, payload=other.payload, unique_key=other.unique_key)
    )

    written = template.encode(message.id, message.payload or b"", message.unique_key)

    assert written == (message.encode(), message.identity_size())


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16383, 16384, 2_097_151, 2_097_152, 3_000_000])
def test_lengths_of_every_number_of_bytes(size: int) -> None:
    message = replace(FULL, payload=b"x" * size)

    written = MessageTemplate(FULL).encode(message.id, message.payload or b"", message.unique_key)

    assert written == (message.encode(), message.identity_size())


@given(st.text(min_size=1, max_size=300), st.text(max_size=300))
def test_names_of_any_length(id: str, lock: str) -> None:
    message = replace(SMALL, id=id, unique_key=lock)

    assert MessageTemplate(SMALL).encode(id, b"", lock) == (message.encode(), message.identity_size())


@pytest.mark.parametrize(
    ("message", "written"), [(SMALL, SMALL_BYTES), (FULL, FULL_BYTES)], ids=["small", "full"]
)
def test_the_bytes_are_those_of_go(message: TaskMessage, written: str) -> None:
    encoded, _ = MessageTemplate(message).encode(message.id, message.payload or b"", message.unique_key)

    assert encoded.hex() == written


def test_what_cannot_be_written_is_refused_when_the_template_is_made() -> None:
    with pytest.raises(InvalidOption, match="max_retries"):
        MessageTemplate(replace(SMALL, max_retries=2**40))
