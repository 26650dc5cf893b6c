"""Compression, without a server."""

from __future__ import annotations

import os
import random
import sys
import tracemalloc
import zlib

import pytest
import zstandard

from taskflow import TaskFlow
from taskflow.errors import CompressionError, ConfigurationError, InvalidOption, NotForThisWorker
from taskflow.message import compression
from taskflow.message.content import COMPRESSION_HEADER, CONTENT_TYPE_HEADER, JSON, Content
from taskflow.message.message_crypto import NO_KEYS
from taskflow.message.task_message import TaskMessage

TEXT = b'{"data":"' + b"abc" * 2000 + b'"}'
each_method = pytest.mark.parametrize("method", compression.METHODS)


@each_method
def test_what_was_compressed_comes_back(method: str) -> None:
    smaller = compression.compressed(TEXT, method)
    assert smaller is not None
    assert len(smaller) < len(TEXT) / 10
    assert compression.decompressed(smaller, method) == TEXT


@each_method
def test_what_is_small_or_does_not_shrink_is_left_as_it_is(method: str) -> None:
    assert compression.compressed(b"a" * (compression.LEAST - 1), method) is None
    assert compression.compressed(os.urandom(5000), method) is None
    assert compression.pack(b"[1]", method) == b"[1]"


@pytest.mark.parametrize(
    ("method", "bomb"),
    [
        ("zlib", zlib.compress(bytes(50_000_000))),
        ("zstd", zstandard.ZstdCompressor().compress(bytes(50_000_000))),
        # Without the size in its head, which alone would not be enough to trust.
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(bytes(50_000_000))),
    ],
)
def test_a_few_kilobytes_that_stand_for_many_megabytes_are_refused_and_never_held(
    method: str, bomb: bytes
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CompressionError, match="more than 1,000,000 bytes"):
            compression.decompressed(bomb, method, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@each_method
@pytest.mark.parametrize("data", [b"", b"no such bytes", TEXT])
def test_bytes_that_are_not_compressed_are_refused(method: str, data: bytes) -> None:
    with pytest.raises(CompressionError, match=f"compressed by {method}, and is not"):
        compression.decompressed(data, method)


@each_method
@pytest.mark.parametrize("times", [50, 10_000])
def test_a_part_of_what_was_compressed_is_refused(method: str, times: int) -> None:
    """Also of several blocks, of which the first ones are whole: half a result would be taken for all of it."""
    smaller = compression.compressed(random.Random(1).randbytes(200) * times, method)
    assert smaller is not None
    with pytest.raises(CompressionError, match="is not"):
        compression.decompressed(smaller[:-9], method)


def test_a_result_says_itself_how_it_is_packed() -> None:
    for method in compression.METHODS:
        assert compression.unpack(compression.pack(TEXT, method)) == TEXT
    assert compression.unpack(b"[1]") == b"[1]"
    for broken in (compression.PACKED, compression.PACKED + b"\x09" + TEXT):
        with pytest.raises(NotForThisWorker, match="this version does not know"):
            compression.unpack(broken)


def test_a_message_of_a_newer_version_waits_for_a_newer_worker() -> None:
    """It would be archived unread otherwise, in the middle of a deployment."""
    for kind in (JSON + "; compression=lzma2030", JSON + "; folded=twice"):
        message = TaskMessage(
            type="noop", payload=b"x", id="id-1", queue="default", headers={CONTENT_TYPE_HEADER: kind}
        )
        with pytest.raises(NotForThisWorker, match="this version does not know"):
            NO_KEYS.open(message, "default", b"id-1")


def test_the_content_type_says_what_was_done_and_only_where_it_was_done() -> None:
    for data, expected in ((TEXT, JSON + "; compression=zlib"), (b"{}", None)):
        message = TaskMessage(
            type="noop", payload=data, id="id-1", queue="default", headers={COMPRESSION_HEADER: "zlib"}
        )
        closed = NO_KEYS.close(message)
        assert closed.headers.get(CONTENT_TYPE_HEADER) == expected
        NO_KEYS.check(closed, "default", b"id-1", JSON)
        assert NO_KEYS.open(closed, "default", b"id-1") == data
    assert Content(JSON + "; compression=zlib; encryption=xaes-256-gcm; location=store").is_stored


def test_without_the_library_zstd_is_refused_where_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a worker that has none leaves the task to one that has it."""
    smaller = compression.compressed(TEXT, "zstd")
    assert smaller is not None
    monkeypatch.setitem(sys.modules, "zstandard", None)
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=r"taskflow-queue\[zstd\]"):
        app.task(compression="zstd")(print_nothing)
    with pytest.raises(NotForThisWorker, match="is not installed here"):
        compression.decompressed(smaller, "zstd")


def print_nothing() -> None: ...


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("compression", "gzip", "'zlib', 'zstd'"),
        ("compression", 5, "a text, not int"),
        ("serializer", "pickle", "app.submit"),
        ("serializer", "yaml", '"json" or "msgpack"'),
    ],
)
def test_what_there_is_not_is_refused_where_it_is_written(option: str, value: object, hint: str) -> None:
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")
    with pytest.raises(InvalidOption, match=hint):
        app.task(**{option: value})(print_nothing)  # type: ignore[call-overload]
