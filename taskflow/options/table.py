"""The table of options: each is described here once, and everything about options follows from it (pure).

To add one: a row here (where a feature has several, in a file of its own, as `declared.py`), a line in the types (`typed.py`),
and a field in `TaskOptions` (`layers.py`) if it is for calls; the tests say what is missing. How it is parsed, merged, refused
where it has no place, suggested for a misspelt one, sent in a header and documented follows by itself.
"""

from __future__ import annotations

from taskflow.message.kept import FAILURE_RETENTION_HEADER
from taskflow.options import declared, spoken, values
from taskflow.options.option import Option, Scope, Way
from taskflow.options.packing import PACKING
from taskflow.partitions import DEFAULT_QUEUE

DEFAULT_MAX_RETRIES = 25
DEFAULT_TIMEOUT = 1800
"""Seconds that a task without `timeout` and `deadline` may run."""
DEFAULT_ENQUEUE_TIMEOUT = 5.0
KEPT_RESULT_SECONDS = 86400
"""How long a result is kept with `ignore_result=False`, as Celery keeps it."""

HARD_TIMEOUT_HEADER = "taskflow-hard-timeout"
"""The header that brings `hard_timeout`, in seconds, to the worker: Asynq's message has no field for it."""

_ANYWHERE = frozenset(Scope)
_DECLARED = frozenset({Scope.APP, Scope.TASK})
_NOT_FOR_APPS = frozenset({Scope.TASK, Scope.CALL, Scope.MAP})
_CALLS = frozenset({Scope.CALL, Scope.MAP})
_ONE_CALL = frozenset({Scope.CALL})

SECONDS = "seconds"
WHOLE_SECONDS = "seconds, rounded up to whole ones"
MOMENT = "a moment with a time zone"

_WHEN = (
    Option(
        "queue",
        "The queue that it goes to.",
        _ANYWHERE,
        Way.MESSAGE,
        "queue",
        values.queue,
        unit="a name",
        default=DEFAULT_QUEUE,
        celery="queue",
        asynq="Queue",
    ),
    Option(
        "delay",
        "How long from now until it may run, by the server's clock.",
        _NOT_FOR_APPS,
        Way.SCRIPT,
        "delay",
        values.seconds,
        unit=SECONDS,
        aliases={"countdown": _CALLS},
        rivals=("eta",),
        celery="countdown",
        asynq="ProcessIn",
    ),
    Option(
        "eta",
        "From when on it may run.",
        _CALLS,
        Way.SCRIPT,
        "process_at",
        values.moment,
        unit=MOMENT,
        rivals=("delay",),
        celery="eta",
        asynq="ProcessAt",
    ),
    Option(
        "expires",
        "Until when it must have started, or else it is never run: so long from now, or until a moment. Attempts after the first "
        "are made whenever they are due.",
        _NOT_FOR_APPS,
        Way.SCRIPT,
        "expires",
        values.duration_or_moment,
        unit="seconds, or a moment with a time zone",
        moment="expires_at",
        celery="expires",
    ),
)

_RUNNING = (
    Option(
        "timeout",
        "How long a run may take; then `TaskTimeout` is raised in it. Without it half an hour; with a `deadline` alone none but "
        "that, with `hard_timeout` alone that.",
        _ANYWHERE,
        Way.MESSAGE,
        "timeout",
        values.positive_whole_seconds,
        unit=WHOLE_SECONDS,
        default=DEFAULT_TIMEOUT,
        aliases={"soft_time_limit": _ANYWHERE},
        celery="soft_time_limit",
        asynq="Timeout",
    ),
    Option(
        "hard_timeout",
        "How long a run may take until the worker kills the process that it is in; not below `timeout`. Without it, the "
        "worker's own margin after `timeout`.",
        _ANYWHERE,
        Way.HEADER,
        HARD_TIMEOUT_HEADER,
        values.positive_seconds,
        unit=SECONDS,
        aliases={"time_limit": _ANYWHERE},
        celery="time_limit",
    ),
    Option(
        "log_lines",
        "From which level on what it logs by `logging` is kept with it, as by `current_task().log(...)`. Without it nothing is.",
        _DECLARED,
        Way.CODE,
        parse=values.log_level,
        unit="a level of `logging`, by its name or number; False for none",
    ),
    Option(
        "deadline",
        "When a run is ended, as by `timeout`, whenever it began; an attempt that would begin later has failed.",
        _CALLS,
        Way.MESSAGE,
        "deadline",
        values.whole_moment,
        unit=MOMENT + ", rounded up to whole seconds",
        asynq="Deadline",
    ),
    Option(
        "max_retries",
        "How many retries it may have after its first run.",
        _ANYWHERE,
        Way.MESSAGE,
        "max_retries",
        values.count,
        unit="a whole number",
        default=DEFAULT_MAX_RETRIES,
        celery="max_retries",
        asynq="MaxRetry",
    ),
    Option(
        "retention",
        "How long it is kept after it succeeded, and its result with it. 0: it is deleted at once.",
        _ANYWHERE,
        Way.MESSAGE,
        "retention",
        values.whole_seconds,
        unit=WHOLE_SECONDS,
        default=0,
        rivals=("ignore_result",),
        celery="result_expires",
        asynq="Retention",
    ),
    Option(
        "ignore_result",
        "Whether its result is dropped. False: it is kept for a day where no `retention` says how long.",
        _NOT_FOR_APPS,
        Way.CALLER,
        parse=values.yes_or_no,
        unit="yes or no",
        rivals=("retention",),
        celery="ignore_result",
    ),
    Option(
        "failure_retention",
        "How long it is kept after it failed for good; without it for 90 days, as Asynq does. 0: it is deleted at once, and "
        "nothing of the failure is left but the line in the log. Of each queue the ten thousand that end last are kept.",
        _ANYWHERE,
        Way.HEADER,
        FAILURE_RETENTION_HEADER,
        values.whole_seconds,
        unit=WHOLE_SECONDS,
    ),
)

_IDENTITY = (
    Option(
        "id",
        "Its id. A queue has one task of an id: a second one is a `TaskIdConflict`.",
        _ONE_CALL,
        Way.MESSAGE,
        "id",
        values.task_id,
        unit="text",
        aliases={"task_id": _ONE_CALL},
        celery="task_id",
        asynq="TaskID",
    ),
    Option(
        "unique",
        "How long its lock keeps an equal task (the same name, queue and arguments) out, unless it ends before: that is a "
        "`DuplicateTask`.",
        _ANYWHERE,
        Way.MESSAGE,
        "unique_key",
        values.lock_seconds,
        unit=WHOLE_SECONDS,
        asynq="Unique",
    ),
    Option(
        "headers",
        "Text that travels beside the arguments, by name; the app's, the task's and the call's add up.",
        _ANYWHERE,
        Way.MESSAGE,
        "headers",
        values.headers,
        unit="text by name",
        adds_up=True,
        celery="headers",
        asynq="NewTaskWithHeaders",
    ),
    Option(
        "group",
        "The aggregation group that it waits in until `app.aggregate` joins its tasks into one.",
        _NOT_FOR_APPS,
        Way.MESSAGE,
        "group_key",
        values.group,
        unit="a name",
        refuses={
            "expires": "tasks of a group are not started, they are joined into one",
            "serializer": "tasks of a group are joined as JSON",
        },
        asynq="Group",
    ),
)

_ENQUEUEING = (
    Option(
        "enqueue_timeout",
        "How long enqueueing may take, with all that it waits for and all repetitions; then `BrokerUnavailable` is raised.",
        _ANYWHERE,
        Way.CALLER,
        parse=values.positive_seconds,
        unit=SECONDS,
        default=DEFAULT_ENQUEUE_TIMEOUT,
        celery="retry_policy",
    ),
    Option(
        "durable",
        'Whether enqueueing returns only when a replica has the task, too. `"strict"`: it fails where the node has none online.',
        _ANYWHERE,
        Way.CALLER,
        parse=values.durability,
        unit='yes, no or `"strict"`',
        default=False,
    ),
    Option(
        "outbox",
        "Whether it is kept in the app's [outbox](outbox.md), to be delivered from there, instead of being sent. Without it as "
        "`use_outbox` says.",
        _ANYWHERE,
        Way.CALLER,
        parse=values.yes_or_no,
        unit="yes or no",
    ),
)

SECTIONS = {
    "Where to, and when": _WHEN,
    "How it may run": _RUNNING,
    "What it is": _IDENTITY,
    "Enqueueing": _ENQUEUEING,
    "How it is written": PACKING,
    "The declaration": declared.DECLARING,
    "The retry policy": declared.POLICY,
    "What Celery asks for and holds in any case": spoken.ALWAYS,
}
"""The options, in the order and under the headings of docs/options.md."""

OPTIONS = tuple(option for section in SECTIONS.values() for option in section)

BY_NAME = {option.name: option for option in OPTIONS}

BY_SPELLING = {name: option for option in OPTIONS for name in option.spellings}

POLICY = tuple(option.name for option in declared.POLICY)
"""The options of `@app.task(...)` that `RetryPolicy.of` takes."""

FIELDS = tuple(name for option in OPTIONS for name in option.fields)
"""The fields of one layer of options."""
