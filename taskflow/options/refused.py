"""What Celery's users write and there is not, with what does the same here (pure). `tests/structure/test_hints.py` looks whether
that exists.
"""

from __future__ import annotations

CELERYS = {
    "priority": "name several queues and give the worker weights: taskflow worker -Q high=6,low=1",
    "serializer": "arguments are always JSON",
    "compression": "arguments are always JSON",
    "routing_key": "use `queue`",
    "exchange": "use `queue`",
    "link": "enqueue what follows at the end of the task itself: follow_up.delay(...)",
    "link_error": (
        "a task that fails for good is archived; `taskflow task ls -q QUEUE --state archived` lists those, and "
        "AsyncResult.get() raises TaskFailed"
    ),
    "rate_limit": (
        "there are no rate limits; tasks on a queue of their own are bounded by its worker: taskflow worker -Q slow -c 2"
    ),
    "retry": "enqueueing is tried again until `enqueue_timeout`",
    "retry_policy": "enqueueing is tried again until `enqueue_timeout`",
    "result_expires": "use `retention`",
    "ignore_result": "without `retention` no result is kept",
    "acks_late": "a task is always acknowledged after it has run",
}
