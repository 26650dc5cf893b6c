"""Other tools' words for the options of a command: an alias, a word that means nothing here and says so, or one that is refused
with the way to do it. Looked at only when a command line could not be read as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Word:
    """What an option of other tools becomes.

    Args:
        alias: what is written here; empty: nothing.
        why: for one that is dropped, or refused: what is said of it.
        takes: whether it has a value.
        refused: whether the command does not start.
    """

    alias: tuple[str, ...] = ()
    why: str = ""
    takes: bool = False
    refused: bool = False


def _alias(*words: str, takes: bool = False) -> Word:
    return Word(alias=words, takes=takes)


def _dropped(why: str, *, takes: bool = False) -> Word:
    return Word(why=why, takes=takes)


def _refused(why: str, *, takes: bool = False) -> Word:
    return Word(why=why, takes=takes, refused=True)


_SCHEDULES = (
    "schedules are not there yet; let cron or a timer of the system enqueue the task: taskflow call NAME"
)
_LIMIT = "a limit belongs to a task or to the app: @app.task(timeout=20, hard_timeout=30), or app.conf.task_time_limit = 30"
_SERVICE = "a worker stays in the foreground; let systemd or a container start it and keep its output"
_DIRECTORY = "go there first: cd DIRECTORY && taskflow worker -A module"
_EVENTS = "events are made where somebody listens: @app.on(...)"
_PEERS = "workers do not talk to each other"
_TAKES = "a worker takes what its free slots will start, and gives back the rest"

WORKER: Mapping[str, Word] = {
    # Celery's
    "--loglevel": _alias("--log-level", takes=True),
    "--hostname": _dropped("a worker is named by its host and process", takes=True),
    "-n": _dropped("a worker is named by its host and process", takes=True),
    "--events": _dropped(_EVENTS),
    "--task-events": _dropped(_EVENTS),
    "-E": _dropped(_EVENTS),
    "--without-gossip": _dropped(_PEERS),
    "--without-mingle": _dropped(_PEERS),
    "--without-heartbeat": _dropped(
        "a worker tells that it is there in any case; whoever enqueues does not need it"
    ),
    "--heartbeat-interval": _dropped("a worker tells every five seconds that it is there", takes=True),
    "-O": _dropped(_TAKES, takes=True),
    "--optimization": _dropped(_TAKES, takes=True),
    "--prefetch-multiplier": _dropped(_TAKES, takes=True),
    "--disable-prefetch": _dropped(_TAKES),
    "--statedb": _dropped("a cancel is kept on the broker", takes=True),
    "-S": _dropped("a cancel is kept on the broker", takes=True),
    "--logfile": _refused("the log goes to stderr: taskflow worker -A module 2>> FILE", takes=True),
    "-f": _refused("the log goes to stderr: taskflow worker -A module 2>> FILE", takes=True),
    "--beat": _refused(_SCHEDULES),
    "-B": _refused(_SCHEDULES),
    "-s": _refused(_SCHEDULES, takes=True),
    "--schedule": _refused(_SCHEDULES, takes=True),
    "--schedule-filename": _refused(_SCHEDULES, takes=True),
    "--scheduler": _refused(_SCHEDULES, takes=True),
    "--exclude-queues": _refused(
        "name those that it is to serve: taskflow worker -Q images,mail", takes=True
    ),
    "-X": _refused("name those that it is to serve: taskflow worker -Q images,mail", takes=True),
    "--include": _refused(
        "modules with tasks are named in the app: TaskFlow(include=['shop.tasks'])", takes=True
    ),
    "-I": _refused("modules with tasks are named in the app: TaskFlow(include=['shop.tasks'])", takes=True),
    "--time-limit": _refused(_LIMIT, takes=True),
    "--soft-time-limit": _refused(_LIMIT, takes=True),
    "--purge": _refused("delete what waits before the worker starts: taskflow queue purge QUEUE"),
    "--discard": _refused("delete what waits before the worker starts: taskflow queue purge QUEUE"),
    "--pidfile": _refused(_SERVICE, takes=True),
    "--pid-file": _refused(_SERVICE, takes=True),
    "--detach": _refused(_SERVICE),
    "-D": _refused(_SERVICE),
    "--daemon": _refused(_SERVICE),
    "--uid": _refused(_SERVICE, takes=True),
    "--gid": _refused(_SERVICE, takes=True),
    "--umask": _refused(_SERVICE, takes=True),
    "--executable": _refused(_SERVICE, takes=True),
    "--workdir": _refused(_DIRECTORY, takes=True),
    # those of others
    "--shutdown-timeout": _alias("--grace", takes=True),
    "--timeout": _alias("--grace", takes=True),
    "-t": _refused("threads are -c 20, and the time that tasks get at a stop is --grace 30", takes=True),
    "--threads": _alias("--concurrency", takes=True),
    "--url": _alias("--broker", takes=True),
    "-u": _alias("--broker", takes=True),
    "--redis": _alias("--broker", takes=True),
    "-v": _alias("--log-level", "debug"),
    "--verbose": _alias("--log-level", "debug"),
    "--quiet": _alias("--log-level", "warning"),
    "-q": _refused(
        "queues are named by -Q images=6,low=1, and few lines are written with -l warning", takes=True
    ),
    "--queue": _alias("--queues", takes=True),
    "--name": _dropped("a worker is named by its host and process", takes=True),
    "--with-scheduler": _dropped("every worker moves what is due; nothing has to be asked for"),
    "--watch": _alias("--reload-dir", takes=True),
    "--metrics-port": _refused(
        "there are no metrics yet; --health-port 8080 answers with the worker's health",
        takes=True,
    ),
    "--workers": _alias("--processes", takes=True),
    "--max-jobs": _alias("--max-tasks-per-child", takes=True),
}

MAIN: Mapping[str, Word] = {
    "--no-color": _dropped("there are no colours where the output is no terminal"),
    "-C": _dropped("there are no colours where the output is no terminal"),
    "--skip-checks": _dropped("Django's checks are run by manage.py taskflow worker, which takes it"),
    "--quiet": _dropped("a command says what it did, and nothing else"),
    "-q": _dropped("a command says what it did, and nothing else"),
    "--workdir": _refused(_DIRECTORY, takes=True),
    "--loader": _refused(
        "modules with tasks are named in the app: TaskFlow(include=['shop.tasks'])", takes=True
    ),
    "--config": _refused("settings are read by the app: app.config_from_object('celeryconfig')", takes=True),
    "--result-backend": _refused(
        "results are kept with their tasks, on the broker, for as long as `retention` says", takes=True
    ),
    "--url": _alias("--broker", takes=True),
    "-u": _alias("--broker", takes=True),
    "--uri": _alias("--broker", takes=True),
}

POOLS: Mapping[str, str] = {
    "prefork": "processes",
    "process": "processes",
    "processes": "processes",
    "thread": "threads",
    "async": "threads",
    "asyncio": "threads",
    "auto": "threads",
}
"""Other words for the pools; coroutines run on one event loop beside the threads."""

_NO_PATCHES = (
    "nothing is patched here; coroutine functions are tasks, too: taskflow worker -P threads -c 1000"
)
NO_POOLS: Mapping[str, str] = {"gevent": _NO_PATCHES, "eventlet": _NO_PATCHES}
"""Pools that there are not."""

VALUES: Mapping[str, Mapping[str, str]] = {
    "--pool": POOLS,
    "-P": POOLS,
    "--log-level": {"FATAL": "critical", "fatal": "critical", "WARN": "warning", "warn": "warning"},
    "-l": {"FATAL": "critical", "fatal": "critical", "WARN": "warning", "warn": "warning"},
}


def rewritten(command: click.Command, words: Mapping[str, Word], args: Sequence[str]) -> list[str]:
    """A command line in the words that are here. What is dropped is told on stderr.

    Args:
        command: whose options it has.
        words: other words for them.
        args: the command line, behind the command's name.

    Raises:
        click.UsageError: a word is refused.
    """
    own = {name: _takes(one) for one in command.params for name in (*one.opts, *one.secondary_opts)}
    takes = {name: word.takes for name, word in words.items()} | own
    found: list[str] = []
    for name, value, raw in _read(takes, args, whole=not isinstance(command, click.Group)):
        if name in own:
            better = VALUES.get(name, {}).get(value or "")
            if name in ("-P", "--pool") and value is not None and value in NO_POOLS:
                raise click.UsageError(f"{name} {value} is not there: {NO_POOLS[value]}")
            found += [name, better] if better is not None else raw
        elif name in words:
            found += _said(name, words[name], value)
        else:
            found += raw
    return found


def _said(name: str, word: Word, value: str | None) -> Iterator[str]:
    if word.refused:
        raise click.UsageError(f"{name} is not there: {word.why}")
    if word.alias:
        (option, *rest) = word.alias
        given = rest or ([value] if value is not None else [])
        yield option
        yield from (VALUES.get(option, {}).get(one, one) for one in given)
    else:
        click.echo(f"{name} means nothing here: {word.why}", err=True)


def _read(
    takes: Mapping[str, bool], args: Sequence[str], *, whole: bool
) -> Iterator[tuple[str, str | None, list[str]]]:
    """Each option with its value and as it was written; the name of what is no option is empty. With `whole` False, what comes
    behind the first that is none is left as it is.
    """
    at = 0
    while at < len(args):
        one, more = args[at], args[at + 1 : at + 2]
        at += 1
        if one == "--" or not one.startswith("-") or one == "-":
            yield "", None, [one]
            if one == "--" or not whole:
                yield "", None, list(args[at:])
                return
        elif one.startswith("--"):
            name, equals, value = one.partition("=")
            if equals or not takes.get(name):
                yield name, value if equals else None, [one]
            else:
                at += len(more)
                yield name, more[0] if more else None, [one, *more]
        elif takes.get(one[:2]) and len(one) == 2:
            at += len(more)
            yield one, more[0] if more else None, [one, *more]
        else:
            yield one[:2], one[2:] or None, [one]


def _takes(parameter: click.Parameter) -> bool:
    return not (isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count))
