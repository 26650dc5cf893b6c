"""The options of a call: checked one by one, merged once, written into the message (pure).

Each is a row of one table (`table.py`). A layer is what one place says (the app, the task, `.options(...)`, `apply_async`); later
layers win.
"""

from taskflow.options.build import Schedule, build_message
from taskflow.options.layers import BOTTOM, TaskOptions, merge, refuse_for_map
from taskflow.options.option import Scope
from taskflow.options.table import DEFAULT_TIMEOUT, HARD_TIMEOUT_HEADER, POLICY
from taskflow.options.typed import Declaration, Defaults, Options
from taskflow.partitions import DEFAULT_QUEUE

__all__ = [
    "BOTTOM",
    "DEFAULT_QUEUE",
    "DEFAULT_TIMEOUT",
    "HARD_TIMEOUT_HEADER",
    "POLICY",
    "Declaration",
    "Defaults",
    "Options",
    "Schedule",
    "Scope",
    "TaskOptions",
    "build_message",
    "merge",
    "refuse_for_map",
]
