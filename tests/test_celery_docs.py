"""The tables of docs/celery.md are made from those that the code uses: `python -m tests.test_celery_docs` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

import taskflow
from taskflow import CurrentTask, TaskFlow, errors
from taskflow.cli.hints import MEANT
from taskflow.cli.words import MAIN, NO_POOLS, POOLS, WORKER, Word
from taskflow.cli.worker import worker
from taskflow.options import refused, settings
from taskflow.options.option import Option, Scope
from taskflow.options.table import OPTIONS
from taskflow.states import NOT_CELERYS
from taskflow.tasks.request import Request

PAGE = Path(__file__).parents[1] / "docs" / "celery.md"
COMMAND = "python -m tests.test_celery_docs"
BEGIN = "## Every name\n"

IMPORTS = {
    "Celery": "`TaskFlow`",
    "Task": "works: to be derived from, for `base=`",
    "shared_task": "works",
    "current_task": "works, also as `current_task()`",
}
"""Names that are imported from `celery`, but for those that are refused."""

ON_APP = {
    "AsyncResult": "works, also as `result(id)`",
    "Task": "works",
    "autodiscover_tasks": "works",
    "close": "works",
    "conf": "works, see the settings",
    "config_from_envvar": "works",
    "config_from_object": "works",
    "send_task": "works; arguments of a task that the app does not know are given by name",
    "set_current": "works",
    "set_default": "works",
    "task": "works",
    "tasks": "works",
}

ON_TASK = {
    "AsyncResult": "works, also as `result(id)`",
    "after_return": "works, in a class given as `base=`; after the verdict",
    "app": "works",
    "apply": "works",
    "apply_async": "works",
    "before_start": "works, in a class given as `base=`",
    "delay": "works",
    "map": "differently: enqueues a call for each item, in few round trips",
    "max_retries": "works; it is given by the declaration",
    "name": "works",
    "on_failure": "works, in a class given as `base=`; after the verdict",
    "on_retry": "works, in a class given as `base=`; after the verdict",
    "on_success": "works, in a class given as `base=`; after the verdict",
    "request": "works, see below",
    "retry": "works, with `exc`, `countdown`, `eta`, `max_retries`, `throw`; it takes no other arguments and options",
    "run": "works",
}

OF_REQUEST = {
    "args": "differently: empty, since all arguments travel by name",
    "called_directly": "works",
    "correlation_id": "works: the task's id",
    "delivery_info": "`routing_key` (the queue), `exchange` and `is_eager`; no `redelivered`, no `priority`",
    "expires": "works for the first attempt; later ones do not expire",
    "headers": "works; each is an attribute, too",
    "hostname": "works: the machine, not a node's name",
    "id": "works",
    "is_eager": "works",
    "kwargs": "differently: all arguments by name",
    "lang": "works",
    "retries": "works",
    "task": "works",
    "timelimit": "works: the hard and the soft limit that hold",
    "utc": "works",
}

DIFFERENT = {
    "autoretry_for": "differently: **without it everything is tried again**; with it, these alone are",
    "max_retries": "differently: 25 without it, where Celery has 3",
    "default_retry_delay": "differently: without it a growing delay, where Celery has 180 s",
    "expires": 'works; what expires is archived with the reason "expired"',
    "ignore_result": "works; without it and without `retention` no result is kept",
    "throws": "works; what is expected is not tried again either, unless `autoretry_for` names it",
    "result_expires": "`retention`",
    "retry_policy": "`enqueue_timeout`",
    "name": "works",
    "serializer": '`"json"` or `"msgpack"`, of a task',
    "compression": '`"zstd"`, `"zlib"` or `"none"`',
}
"""What is said of options that have Celery's name, where it is more than "works"."""


def print_nothing() -> None: ...


def page() -> str:
    """The page with its tables."""
    before = PAGE.read_text().partition(BEGIN)[0]
    return "".join([before, BEGIN, *sections()])


def sections() -> Iterator[str]:
    yield "\nMade from the tables that the code itself uses. What is refused says so, with these words, where it is written.\n"
    names = {name: why for name, why in refused.NAMES.items() if name not in IMPORTS}
    yield table("Imports", "`from celery import …`", {**IMPORTS, **no(names)})
    exceptions = {
        **{name: f"works: `errors.{ours}`" for name, ours in errors.CELERYS.items()},
        "Reject": "works: archives the task; with `requeue=True` it runs again at once",
        "Retry": "works, with `exc` and `when`",
        **no(errors.NOT_CELERYS),
    }
    yield table("Exceptions", "`from celery.exceptions import …`, here `taskflow.errors`", exceptions)
    words = "refused: `result.status` is text in Celery's words; `result.ready()`, `successful()`, `failed()`"
    yield table("States", "`from celery.states import …`", dict.fromkeys(sorted(NOT_CELERYS), words))
    made = {"broker": "works", "include": "works", "task_cls": "works: a class", **no(refused.CONSTRUCTOR)}
    yield table("Where an app is made", "`Celery(…)`", made)
    yield table("An app", "`app.…`", {**ON_APP, **no(refused.APP)})
    options = dict(sorted([*of_options(), *no(refused.CELERYS).items()]))
    yield table("Options", "`@app.task(…)`, `apply_async(…)`", options)
    yield table("A task, and `self`", "`task.…`", {**ON_TASK, **no(refused.TASK)})
    yield table("The running task", "`self.request.…`", {**OF_REQUEST, **no(refused.REQUEST)})
    yield table("Settings in effect", "`app.conf.…`", dict(of_settings()))
    families = {f"{family}…": why for family, why in settings.REFUSED_FAMILIES.items()}
    yield table("Settings that are refused", "`app.conf.…`", no({**settings.REFUSED, **families}))
    ours = {name for one in worker.params for name in one.opts}
    options = {"-A, -Q, -c, -l, -b": "work", **of_words(WORKER, ours)}
    yield table("Options of the worker", "`celery worker …`, and those of others", options)
    pools = {word: f"`-P {pool}`" for word, pool in POOLS.items() if word != pool}
    yield table("Pools", "`-P …`", {"solo": "works", **pools, **no(NO_POOLS)})
    yield table("Options before the command", "`celery …`", of_words(MAIN, set()))
    commands = {
        f"{group} {name}".strip(): text for group, words in MEANT.items() for name, text in words.items()
    }
    yield table(
        "Commands", "of Celery, Asynq, RQ, Dramatiq, Sidekiq", {"worker, shell, call": "work", **commands}
    )


def of_options() -> Iterator[tuple[str, str]]:
    for option in OPTIONS:
        for name in names_of(option):
            if option.always is not None:
                yield name, f"`{option.always!r}`, which holds in any case: {option.doc}"
            elif name not in refused.CELERYS:
                yield (
                    name,
                    DIFFERENT.get(
                        name, "works" if name == option.name else f"works, also as `{option.name}`"
                    ),
                )


def names_of(option: Option) -> Iterable[str]:
    return dict.fromkeys([*([option.celery] if option.celery else []), *option.aliases])


def of_settings() -> Iterator[tuple[str, str]]:
    for name, option in settings.OPTIONS.items():
        yield name, f"works: the option `{option}` for all tasks"
    for name, what in settings.OF_APP.items():
        yield name, f"works: {what}"
    for name, (values, why) in settings.ALWAYS.items():
        yield name, f"`{values[0]!r}`, which holds in any case: {why}"
    for name, why in settings.NOTHING.items():
        yield name, f"taken, and means nothing: {why}"


def of_words(words: Mapping[str, Word], ours: set[str]) -> dict[str, str]:
    return {name: meaning(word) for name, word in words.items() if name not in ours}


def meaning(word: Word) -> str:
    if word.alias:
        return f"`{' '.join(word.alias)}`"
    return f"refused: {word.why}" if word.refused else f"dropped: {word.why}"


def no(names: Mapping[str, str]) -> dict[str, str]:
    return {name: f"refused: {why}" for name, why in names.items()}


def table(title: str, what: str, rows: Mapping[str, str]) -> str:
    lines = "".join(f"| `{name}` | {text.replace('|', chr(92) + '|')} |\n" for name, text in rows.items())
    return f"\n### {title}\n\n| {what} | here |\n|---|---|\n{lines}"


def test_the_tables_are_what_the_code_says() -> None:
    """A page of migration that was written once is wrong after the next release."""
    assert PAGE.read_text() == page(), f"write it anew: {COMMAND}"


@pytest.mark.parametrize(
    ("names", "thing"),
    [
        (ON_APP, TaskFlow("shop", broker="redis://127.0.0.1:1")),
        (ON_TASK, TaskFlow("shop", broker="redis://127.0.0.1:1").task(print_nothing)),
        (OF_REQUEST, Request(CurrentTask("1", "x", "q", 0, 0, None, {}), None)),  # type: ignore[arg-type]
        ([name for name in IMPORTS if name != "Celery"], taskflow),
    ],
)
def test_what_is_said_to_work_is_there(names: Iterable[str], thing: object) -> None:
    assert [name for name in names if not hasattr(thing, name)] == []


def test_what_is_said_of_options_is_said_of_celerys() -> None:
    known = {name for option in OPTIONS for name in (*names_of(option), option.name)}
    assert {*DIFFERENT} <= known | {*refused.CELERYS}
    assert all(option.is_for(option.name, Scope.TASK) for option in OPTIONS if option.always is not None)


if __name__ == "__main__":
    PAGE.write_text(page())
