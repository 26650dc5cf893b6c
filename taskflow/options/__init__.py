"""The options of a call: checked one by one, merged once, written into the message (pure).

A layer is what one place says (the app, the task, `.options(...)`, `apply_async`). Later layers win.
"""

from taskflow.options.build import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_QUEUE,
    DEFAULT_TIMEOUT,
    HARD_TIMEOUT_HEADER,
    Schedule,
    build_message,
)
from taskflow.options.layers import Defaults, Options, TaskOptions, merge, refuse_per_call

__all__ = [
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_QUEUE",
    "DEFAULT_TIMEOUT",
    "HARD_TIMEOUT_HEADER",
    "Defaults",
    "Options",
    "Schedule",
    "TaskOptions",
    "build_message",
    "merge",
    "refuse_per_call",
]
