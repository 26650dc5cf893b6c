"""The rows of what Celery's users ask for and holds here anyhow: to say so changes nothing, the opposite is refused (pure)."""

from __future__ import annotations

from taskflow.options.option import Option, Scope, Way

_DECLARATION = frozenset({Scope.TASK})


def _always(name: str, doc: str, value: object = True) -> Option:
    return Option(
        name, doc, _DECLARATION, Way.CODE, unit=f"`{value!r}`", default=value, always=value, celery=name
    )


ALWAYS = (
    _always("acks_late", "A task is acknowledged after it has run, never before."),
    _always(
        "reject_on_worker_lost",
        "A task whose process dies is run again, and archived when it has taken three of them along.",
    ),
    _always(
        "acks_on_failure_or_timeout",
        "An attempt that fails or runs out of time has its verdict: it is retried, or archived when no retry is left.",
    ),
    _always("track_started", "What runs is in the state `active`, for everybody to see."),
    _always(
        "store_errors_even_if_ignored",
        "A task that fails for good is archived with its error; with `TaskFlow(error_text=False)` the error has no text.",
    ),
    _always(
        "pydantic", "Models of pydantic are made of arguments, and results of models, by the annotations."
    ),
    _always("typing", "Arguments are checked where the call is made."),
)
