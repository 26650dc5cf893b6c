"""The records of workers and schedulers against the bytes that Go's Asynq writes."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.errors import DecodeError
from taskflow.message.records import SchedulerEnqueueEvent, SchedulerEntry, ServerInfo, Timestamp, WorkerInfo

START = Timestamp(1700000000, 5)

VECTORS: list[tuple[Any, str]] = [
    (
        ServerInfo("h", 7, "sid", 4, {"default": 1}, False, "active", START, 1),
        "0a016810071a0373696420042a0b0a0764656661756c7410013a0661637469766542080880e2cfaa0610054801",
    ),
    (
        WorkerInfo("h", 7, "sid", "x", "noop", None, "default", START, Timestamp(1700001800)),
        "0a016810071a037369642201782a046e6f6f703a0764656661756c7442080880e2cfaa0610054a060888f0cfaa06",
    ),
    (
        SchedulerEntry(
            "e", "@every 1m", "noop", None, ('Queue("q")',), Timestamp(1700000060), Timestamp.NEVER
        ),
        "0a0165120940657665727920316d1a046e6f6f702a0a51756575652822712229320608bce2cfaa063a0b088092b8c398feffffff01",
    ),
    (SchedulerEnqueueEvent("x", START), "0a017812080880e2cfaa061005"),
]
names = [type(record).__name__ for record, _ in VECTORS]
moments = st.builds(Timestamp, st.integers(-62135596800, 253402300799), st.integers(0, 999_999_999))


@pytest.mark.parametrize(("record", "written"), VECTORS, ids=names)
def test_the_bytes_are_those_of_go(record: Any, written: str) -> None:
    assert record.encode().hex() == written
    assert type(record).decode(bytes.fromhex(written)) == record


@pytest.mark.parametrize("kind", [type(record) for record, _ in VECTORS], ids=names)
@given(data=st.binary())
def test_any_bytes_decode_or_are_a_decode_error(kind: Any, data: bytes) -> None:
    with suppress(DecodeError):
        kind.decode(data)


@given(moments)
def test_times_keep_their_nanoseconds(moment: Timestamp) -> None:
    assert SchedulerEnqueueEvent.decode(SchedulerEnqueueEvent("x", moment).encode()).enqueue_time == moment


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_is_shown_as_a_datetime_in_utc(moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    stored = Timestamp(since.days * 86400 + since.seconds, since.microseconds * 1000)
    # Go's zero time is the first moment that a datetime has.
    assert stored.to_datetime() == (None if stored == Timestamp.NEVER else moment)


def test_never_is_gos_zero_time_and_is_written() -> None:
    assert Timestamp(-62135596800) == Timestamp.NEVER
    assert Timestamp.NEVER.to_datetime() is None
    assert SchedulerEnqueueEvent("x", Timestamp.NEVER).encode().hex() == "0a0178120b088092b8c398feffffff01"


def test_an_absent_time_is_never() -> None:
    assert SchedulerEnqueueEvent.decode(b"\x0a\x01x").enqueue_time == Timestamp.NEVER


def test_a_time_out_of_pythons_range_is_shown_as_none() -> None:
    assert Timestamp(2**62).to_datetime() is None
