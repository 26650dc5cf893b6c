"""`taskflow call`: enqueues one call of a task, and waits for it if asked to."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import click

from ..errors import ResultTimeout, TaskFailed, TaskNotRegistered
from ..message.from_text import json_or_text, payload_of
from ..options import Options
from ..tasks.app import TaskFlow
from ..tasks.result import AsyncResult
from .hints import NEARLY
from .options import Target, target_options
from .output import clean, print_json

KEPT_SECONDS = 600
"""How long the result of a task without `retention` is kept when somebody waits for it here."""


def _json(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"this is no JSON ({error})") from None
    wanted = list if parameter.name == "args" else dict
    if not isinstance(value, wanted):
        raise click.BadParameter(
            "write a list, as '[1, 2]'" if wanted is list else """write an object, as '{"n": 1}'"""
        )
    return value


def _pairs(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"write NAME=VALUE, not {clean(name)!r}")
        if name in pairs:
            raise click.BadParameter(f"{clean(name)!r} is given twice")
        pairs[name] = value
    return pairs


def _moment(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise click.BadParameter(
            "write a moment as 2026-12-24T18:00, or with its zone: 2026-12-24T18:00+01:00"
        ) from None


@click.command("call", context_settings={"help_option_names": ["-h", "--help"]})
@target_options
@click.argument("name")
@click.argument("kwargs_json", metavar="[JSON]", required=False)
@click.option(
    "--arg",
    "texts",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_pairs,
    help="An argument; may be repeated.",
)
@click.option("-a", "--args", metavar="JSON", callback=_json, help="Positional arguments, as a list.")
@click.option("-k", "--kwargs", metavar="JSON", callback=_json, help="Arguments by name, as an object.")
@click.option("-q", "--queue", metavar="NAME", help="The queue.  [default: the task's own]")
@click.option("--id", "task_id", metavar="TEXT", help="Its id.  [default: a new one]")
@click.option(
    "--countdown", type=click.FloatRange(0), metavar="SECONDS", help="How long from now until it may run."
)
@click.option(
    "--eta", metavar="MOMENT", callback=_moment, help="From when on it may run, as 2026-12-24T18:00."
)
@click.option(
    "--expires",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="It must have started by then.",
)
@click.option(
    "-w", "--wait", is_flag=True, help="Wait for the verdict, and print what the task returned as JSON."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long to wait.  [default: as long as it takes]",
)
def call(
    target: Target,
    name: str,
    kwargs_json: str | None,
    texts: dict[str, str],
    args: list[Any] | None,
    kwargs: dict[str, Any] | None,
    queue: str | None,
    task_id: str | None,
    countdown: float | None,
    eta: datetime | None,
    expires: float | None,
    wait: bool,
    timeout: float | None,
) -> None:
    """Enqueue a call of the task NAME and print its id.

    Of a task that the app of -A knows the arguments are read by its function's annotations: --arg width=100 is a number for an
    int, and the text for a str. For any other, a handler in Go or a task of another service, they are JSON, or text where they
    are no JSON.

    Exit code 1: it was waited for, and failed for good. 2: no verdict within --timeout, or an error.
    """
    if kwargs_json is not None:
        if kwargs is not None:
            raise click.UsageError("the arguments are given twice, as JSON and by --kwargs")
        parameter = next(one for one in click.get_current_context().command.params if one.name == "kwargs")
        kwargs = _json(click.get_current_context(), parameter, kwargs_json)
    options: Options = {"queue": queue, "id": task_id, "countdown": countdown, "eta": eta, "expires": expires}
    app = target.load() if target.app is not None else TaskFlow("taskflow call", broker=target.broker_url)
    if target.broker is not None:
        app.use_broker(target.broker)
    with contextlib.closing(app):
        handle = _sent(app, name, args or [], kwargs or {}, texts, options, wait=wait)
        click.echo(handle.id, err=wait)
        if wait:
            _show(handle, timeout)


def _sent(
    app: TaskFlow,
    name: str,
    args: list[Any],
    kwargs: dict[str, Any],
    texts: dict[str, str],
    options: Options,
    *,
    wait: bool,
) -> AsyncResult[Any]:
    try:
        task = app.get_task(name)
    except TaskNotRegistered:
        if near := _near(name, app):
            raise click.UsageError(
                f"the app has no task {clean(name)!r}; did you mean {clean(near)!r}? Without -A and TASKFLOW_APP, with -b URL, "
                "any name is sent"
            ) from None
        if wait:
            options["retention"] = app._defaults.retention or KEPT_SECONDS
        found = {key: json_or_text(text) for key, text in texts.items()}
        if twice := kwargs.keys() & found.keys():
            raise click.UsageError(f"argument {clean(min(twice))!r} is given twice") from None
        return app.send_task(name, args, kwargs | found, **options)
    if wait and not task._options.retention:
        options["retention"] = KEPT_SECONDS
    payload = payload_of(task._signature.parameters, name, args, kwargs, texts)
    return task.apply_async((), task._decode(payload), **options)


def _near(name: str, app: TaskFlow) -> str | None:
    """The task that was most likely meant, if there is one: nobody would ever run what is sent by a mistyped name."""
    for known in app.tasks:
        if known.endswith((f".{name}", f":{name}")):
            return known
    return next(iter(get_close_matches(name, app.tasks, 1, cutoff=NEARLY)), None)


def _show(handle: AsyncResult[Any], timeout: float | None) -> None:
    """Print the verdict; what was returned stands alone on standard output."""
    context = click.get_current_context()
    handle._task = None  # as its JSON holds it, which is what is printed
    try:
        value = handle.get(timeout)
    except TaskFailed as error:
        click.echo(f"Error: {clean(str(error))}", err=True)
        context.exit(1)
    except ResultTimeout:
        click.echo(
            f"Error: task {handle.id} in queue {clean(handle.queue)} has no verdict yet ({handle.state or 'gone'}); "
            f"is there a worker for its queue? taskflow task inspect {handle.id} says how it stands",
            err=True,
        )
        context.exit(2)
    # Go may write any bytes.
    print_json(value.decode(errors="backslashreplace") if isinstance(value, bytes) else value)
