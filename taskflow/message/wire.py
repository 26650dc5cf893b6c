"""Protobuf's classes, imported with the first message that needs them.

That takes a tenth of a worker's start, and its first tasks do not need it: a message is cut into parts without (`split`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import taskflow_pb2


@cache
def wire_message() -> type[taskflow_pb2.TaskMessage]:
    """The class of a task's message as it is stored."""
    from . import taskflow_pb2

    return taskflow_pb2.TaskMessage


@cache
def wire_error() -> type[Exception]:
    """What its parser raises."""
    from google.protobuf.message import DecodeError

    return DecodeError
