"""The rows of the options that a declaration alone has: the name, and what workers have from the code (pure)."""

from __future__ import annotations

from taskflow.options import values
from taskflow.options.option import Option, Scope, Way

_DECLARATION = frozenset({Scope.TASK})

DECLARING = (
    Option(
        "name",
        "What it is called on the wire. Without it `module.function`.",
        _DECLARATION,
        Way.MESSAGE,
        "type",
        unit="a name",
        celery="name",
        asynq="NewTask",
    ),
    Option(
        "bind",
        "Whether the running task (`CurrentTask`) is its first argument.",
        _DECLARATION,
        Way.CODE,
        unit="yes or no",
        default=False,
        celery="bind",
    ),
    Option(
        "pool",
        "Where it runs, whatever the worker's `-P` says: in a process's main thread, where limits and cancels reach it inside "
        'blocking calls too, or in a thread. Coroutine functions run on an event loop in any case; with `"processes"` on that '
        "of a process which has nothing else to do.",
        _DECLARATION,
        Way.CODE,
        parse=values.pool,
        unit='`"threads"`, `"processes"` or `"async"`',
    ),
    Option(
        "base",
        "A class derived from `taskflow.Task` that the task is an instance of: its hooks (`on_failure`, ...) are told of "
        "attempts, its attributes are options, and the first argument with `bind` is its instance.",
        _DECLARATION,
        Way.CODE,
        unit="a class",
        celery="base",
    ),
    Option(
        "throws",
        "Exceptions that are expected: the task has failed with them and is not tried again, unless `autoretry_for` names them, "
        "and its line in the log is one of level INFO without a traceback.",
        _DECLARATION,
        Way.CODE,
        unit="exception classes",
        default=(),
        celery="throws",
    ),
    Option(
        "retry_kwargs",
        "Celery's way to write `max_retries` and `default_retry_delay` (`countdown`) beside `autoretry_for`; nothing else may "
        "stand in it.",
        _DECLARATION,
        Way.CODE,
        unit="`max_retries` and `countdown` by name",
        celery="retry_kwargs",
    ),
)

POLICY = (
    Option(
        "wait",
        "How long until the next attempt: one of tenacity's `wait` objects. Without it, and without Celery's words for it, "
        "Asynq's growing delay.",
        _DECLARATION,
        Way.CODE,
        unit="an object of tenacity's",
        rivals=("retry_backoff", "default_retry_delay"),
        asynq="Config.RetryDelayFunc",
    ),
    Option(
        "stop",
        "When to give up, whatever `max_retries` still allows: one of tenacity's `stop` objects.",
        _DECLARATION,
        Way.CODE,
        unit="an object of tenacity's",
    ),
    Option(
        "retry",
        "Which failures are tried again: one of tenacity's `retry` objects. Without it, and without Celery's words for it, all.",
        _DECLARATION,
        Way.CODE,
        unit="an object of tenacity's",
        rivals=("autoretry_for", "dont_autoretry_for"),
        asynq="SkipRetry",
    ),
    Option(
        "autoretry_for",
        "Only these exceptions are tried again. Unlike in Celery all are where nothing is said.",
        _DECLARATION,
        Way.CODE,
        unit="exception classes",
        default=(),
        rivals=("retry",),
        celery="autoretry_for",
    ),
    Option(
        "dont_autoretry_for",
        "These exceptions are not tried again.",
        _DECLARATION,
        Way.CODE,
        unit="exception classes",
        default=(),
        rivals=("retry",),
        celery="dont_autoretry_for",
    ),
    Option(
        "retry_backoff",
        "The first delay, which doubles with each retry; True: one second.",
        _DECLARATION,
        Way.CODE,
        unit="seconds, or yes",
        default=False,
        rivals=("wait",),
        celery="retry_backoff",
    ),
    Option(
        "retry_backoff_max",
        "The longest delay with `retry_backoff`.",
        _DECLARATION,
        Way.CODE,
        unit="seconds",
        default=600,
        celery="retry_backoff_max",
    ),
    Option(
        "retry_jitter",
        "Whether the delay with `retry_backoff` is drawn between 0 and what it would be.",
        _DECLARATION,
        Way.CODE,
        unit="yes or no",
        default=True,
        celery="retry_jitter",
    ),
    Option(
        "default_retry_delay",
        "The delay of every retry; with `retry_backoff` only of one that the task asks for by `Retry`.",
        _DECLARATION,
        Way.CODE,
        unit="seconds",
        rivals=("wait",),
        celery="default_retry_delay",
    ),
)
