"""What the server and Python allow: the simplest scripts that move a task through Asynq's keys, and none of taskflow."""

from __future__ import annotations

from .bare import Bare


class Limit(Bare):
    """See `programs/limit_app.py`."""

    name = "limit"
    label = "limit (simplest scripts)"
    program = "limit_app"
    note = "20 threads, batches of 200; a script for each step over Asynq's keys, nothing of taskflow's, no promises"
