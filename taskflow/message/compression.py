"""Compression of payloads and results: zlib of the standard library, or zstd by the library `zstandard` (the extra `zstd`).

Whoever reads what is compressed bounds what comes out: a few kilobytes may stand for gigabytes.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any

from taskflow.errors import CompressionError, ConfigurationError, NotForThisWorker

METHODS = ("zlib", "zstd")

LEAST = 1024
"""Bytes under which nothing is compressed: there is little to gain, and every worker has to undo it."""

MOST = 64 << 20
"""Bytes that may come out, where whoever reads says nothing else: as many as a message may have by default."""

PACKED = b"\0tfz1"
"""The first bytes of a result that is compressed; the method's number follows. No JSON and no text begins with them."""


def compressed(data: bytes, method: str) -> bytes | None:
    """The same in fewer bytes.

    Args:
        data: what is to be compressed.
        method: one of `METHODS`.

    Returns:
        The compressed bytes; None where that is not worth it, or the method is of a newer version: nobody has to compress.

    Raises:
        ConfigurationError: `zstandard` is not installed.
    """
    if len(data) < LEAST or method not in METHODS:
        return None
    smaller: bytes = zlib.compress(data) if method == "zlib" else _zstandard().ZstdCompressor().compress(data)
    return smaller if len(smaller) < len(data) else None


def decompressed(data: bytes, method: str, most: int = MOST) -> bytes:
    """What `compressed` was given.

    Args:
        data: the compressed bytes.
        method: how they were made.
        most: bytes that may come out.

    Raises:
        CompressionError: more would come out, or they are no such bytes.
        NotForThisWorker: this program cannot undo it: `zstandard` is not installed, or the method is of a newer version.
    """
    undo = _UNDO.get(method)
    if undo is None:
        raise NotForThisWorker(f"is compressed by {method[:20]!a}, which this version does not know")
    try:
        plain = undo(data, most + 1)
    except NotForThisWorker:
        raise
    except Exception:  # noqa: BLE001 - zlib's errors, zstandard's, which may not be there to be named, EOFError
        raise CompressionError(f"says that it is compressed by {method}, and is not") from None
    if len(plain) > most:
        raise CompressionError(f"is compressed, and is more than {most:,} bytes when it is not")
    return plain


def pack(data: bytes, method: str) -> bytes:
    """A result as it is stored: compressed behind a mark that says so, or as it is.

    So it is also where zstd is asked for and cannot be had: the task has run, and what it returned is not to be lost for that.
    """
    try:
        smaller = compressed(data, method)
    except ConfigurationError:
        smaller = None
    return data if smaller is None else PACKED + bytes([METHODS.index(method)]) + smaller


def unpack(data: bytes, most: int = MOST) -> bytes:
    """The plain result; what was not compressed is given back as it is. Raises as `decompressed`."""
    if not data.startswith(PACKED):
        return data
    start = len(PACKED) + 1
    number = data[start - 1] if len(data) >= start else len(METHODS)
    return decompressed(data[start:], METHODS[number] if number < len(METHODS) else str(number), most)


def require(method: str) -> None:
    """Make sure that a method can be used here.

    Raises:
        ConfigurationError: with what is to be installed.
    """
    if method == "zstd":
        _zstandard()


def _zstandard() -> Any:
    try:
        # Here, since it is an extra.
        import zstandard
    except ModuleNotFoundError:
        raise ConfigurationError(
            "compression='zstd' needs the library `zstandard`: pip install 'taskflow-queue[zstd]'; 'zlib' needs none"
        ) from None
    return zstandard


def _un_zlib(data: bytes, most: int) -> bytes:
    stream = zlib.decompressobj()
    plain = stream.decompress(data, most)
    if not (stream.eof or len(plain) == most):
        raise EOFError
    return plain


def _un_zstd(data: bytes, most: int) -> bytes:
    try:
        zstandard = _zstandard()
    except ConfigurationError:
        raise NotForThisWorker(
            "is compressed by zstd, and the library `zstandard` is not installed here"
        ) from None
    stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data))
    parts, left = [], most
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    # A reader takes the end of the bytes for the end of the frame, whose head says how long it is.
    whole = zstandard.frame_content_size(data)
    if left and (not parts or 0 <= whole != most - left):
        raise EOFError
    return b"".join(parts)


_UNDO: dict[str, Callable[[bytes, int], bytes]] = {"zlib": _un_zlib, "zstd": _un_zstd}
