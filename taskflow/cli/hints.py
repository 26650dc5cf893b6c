"""What a mistyped command or option was meant to be: only what is nearly the same word, or another word for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher

import click

NEARLY = 0.8
"""How much two words have in common of which one is the other, mistyped. click's own 0.6 takes `remove` for `resume`."""

SYNONYMS = {"remove": "rm", "delete": "rm", "del": "rm", "list": "ls", "show": "inspect", "info": "inspect"}
"""Other tools' words for commands, and ours."""

_SCHEDULES = (
    "schedules are not there yet; cron or a timer of the system may enqueue a task: `taskflow call NAME`"
)
_PAGE = "there is no page yet; asynqmon shows the queues in a browser (docs/asynqmon.md), and `taskflow stats` in a terminal"
_SERVICE = "let systemd or a container start workers and keep them: `taskflow worker -A module`"

MEANT: Mapping[str, Mapping[str, str]] = {
    "": {
        "amqp": "there is no AMQP; `taskflow queue ls` lists the queues",
        "beat": _SCHEDULES,
        "cancel": "`taskflow task cancel ID`",
        "control": "`taskflow queue pause QUEUE` and `taskflow task cancel ID`",
        "cron": _SCHEDULES,
        "dash": _PAGE,
        "dashboard": _PAGE,
        "empty": "`taskflow queue purge QUEUE`",
        "enqueue": "`taskflow call NAME`",
        "events": "what happens to tasks is told to @app.on(...), and written by `taskflow worker -l info`",
        "flower": _PAGE,
        "graph": _PAGE,
        "group": "`taskflow queue inspect QUEUE` counts them, `taskflow task ls -q QUEUE -s aggregating` lists their tasks",
        "info": "`taskflow stats`",
        "inspect": "`taskflow server ls` for workers, `taskflow task inspect ID`, or `taskflow queue inspect QUEUE`",
        "list": "`taskflow queue ls`, `taskflow task ls -q QUEUE` or `taskflow server ls`",
        "logtool": "the log is JSON with `taskflow worker --log-format json`",
        "ls": "`taskflow queue ls`, `taskflow task ls -q QUEUE` or `taskflow server ls`",
        "migrate": "nothing has to be moved: all programs of a broker share its queues",
        "monitor": "`taskflow stats`",
        "multi": _SERVICE,
        "ps": "`taskflow server ls`",
        "purge": "`taskflow queue purge QUEUE`",
        "queues": "`taskflow queue ls`",
        "report": "`taskflow doctor` looks at servers and queues",
        "requeue": "`taskflow task run ID`",
        "result": "`taskflow task inspect ID`",
        "resume": "`taskflow queue resume QUEUE`",
        "revoke": "`taskflow task cancel ID`",
        "scheduler": _SCHEDULES,
        "servers": "`taskflow server ls`",
        "status": "`taskflow server ls` shows the workers, `taskflow stats` the queues",
        "suspend": "`taskflow queue pause QUEUE`",
        "tasks": "`taskflow task ls -q QUEUE`",
        "top": "`taskflow stats`",
        "upgrade": "settings keep Celery's new names: app.config_from_object(...)",
        "web": _PAGE,
        "workers": "`taskflow server ls`",
    },
    "queue": {
        "empty": "`taskflow queue purge QUEUE`",
        "clear": "`taskflow queue purge QUEUE`",
        "suspend": "`taskflow queue pause QUEUE`",
        "stop": "`taskflow queue pause QUEUE`",
        "unpause": "`taskflow queue resume QUEUE`",
        "start": "`taskflow queue resume QUEUE`",
    },
    "task": {
        "abort": "`taskflow task cancel ID`",
        "call": "`taskflow call NAME`",
        "enqueue": "`taskflow call NAME`",
        "get": "`taskflow task inspect ID`",
        "kill": "`taskflow task cancel ID`",
        "remove": "`taskflow task delete ID`",
        "requeue": "`taskflow task run ID`",
        "result": "`taskflow task inspect ID`",
        "retry": "`taskflow task run ID`",
        "revoke": "`taskflow task cancel ID`",
        "rm": "`taskflow task delete ID`",
        "send": "`taskflow call NAME`",
        "status": "`taskflow task inspect ID`",
    },
    "server": {
        "ping": "`taskflow server ls`",
        "restart": "`taskflow server stop`, then start",
    },
}
"""Other tools' commands that are spelt differently here, by the group in which they are looked for."""


def correct(error: click.UsageError) -> None:
    """Take out of an error the words that click believes to be near and that are not; say what another tool's word is here."""
    possibilities: list[str] | None = getattr(error, "possibilities", None)
    given = str(getattr(error, "option_name", None) or getattr(error, "command_name", ""))
    if possibilities:
        possibilities[:] = [word for word in possibilities if is_near(given, word)]
    command = error.ctx.command if error.ctx is not None else None
    if not isinstance(command, click.Group):
        return
    unknown = re.match(
        r"No such command '([^']*)'", error.message
    )  # older versions of click have no `command_name`
    given = unknown[1] if unknown else given
    meant = SYNONYMS.get(given)
    group = "" if error.ctx is None or error.ctx.parent is None else command.name or ""
    if meant in command.commands:
        error.message = f"No such command {given!r}. Did you mean {meant!r}?"  # type: ignore[misc]  # of an instance
    elif unknown and given in MEANT.get(group, {}):
        error.message = f"No such command {given!r}: {MEANT[group][given]}"  # type: ignore[misc]
    else:
        return
    if possibilities:
        possibilities.clear()


def is_near(given: str, word: str) -> bool:
    """Whether one word is another one, mistyped."""
    return SequenceMatcher(None, given, word).ratio() >= NEARLY
