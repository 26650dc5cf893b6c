"""The rows of what arguments and results are written as (pure)."""

from __future__ import annotations

from taskflow.message.content import COMPRESSION_HEADER, CONTENT_TYPE_HEADER
from taskflow.options import values
from taskflow.options.option import Option, Scope, Way

PACKING = (
    Option(
        "serializer",
        "What arguments and results are written as. Workers in Go read JSON; msgpack holds bytes as they are, and is smaller. A "
        "task takes arguments in JSON in any case.",
        frozenset({Scope.TASK}),
        Way.HEADER,
        CONTENT_TYPE_HEADER,
        values.serializer,
        unit='`"json"`, as without it, or `"msgpack"`',
        celery="serializer",
    ),
    Option(
        "compression",
        "How arguments and results of a kilobyte or more are compressed, where that makes them smaller. Workers in Go cannot "
        "read them then. Tasks of a group are not compressed.",
        frozenset(Scope),
        Way.HEADER,
        COMPRESSION_HEADER,
        values.compression,
        unit='`"zstd"`, `"zlib"` or `"none"`',
        celery="compression",
    ),
)
