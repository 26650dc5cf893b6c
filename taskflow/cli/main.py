"""The command `taskflow`: finds the command that is asked for, and turns errors into one line."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import click

from .._version import __version__
from ..errors import TaskFlowError
from .options import DEBUG_VARIABLE, give_app, is_debugging, remember_target
from .output import clean

__all__ = ["NOUNS", "Failure", "LazyGroup", "give_app", "main"]

NOUNS: Mapping[str, str] = {
    "acl": "Print users for the server with the rights that they need.",
    "call": "Enqueue a call of a task.",
    "demo": "Watch a cluster lose a node, and no task.",
    "doctor": "Find what is wrong, and put it right.",
    "new": "Write a project that runs, with tests and deployment.",
    "queue": "List, inspect, pause, resume and remove queues.",
    "server": "Start, stop and look at servers and workers.",
    "shell": "Start Python with the app, its tasks and the inspector at hand.",
    "stats": "Show everything at a glance.",
    "task": "List, inspect, watch, run, archive, delete and cancel tasks.",
    "worker": "Run the tasks of an app.",
}
"""The commands, with their lines in `taskflow --help`. Each is `taskflow/cli/<name>.py`, loaded when used."""

_SUBCOMMANDS: Mapping[str, Mapping[str, str]] = {
    "server": {"ls": "taskflow.cli.server_ls"},
    "task": {"watch": "taskflow.cli.task_watch"},
}
"""Commands that another file adds to the group of a noun, by name: the module that has them."""


class LazyGroup(click.Group):
    """A group of modules: `taskflow worker` loads nothing that only `taskflow queue` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands whose modules are installed."""
        return sorted(name for name in NOUNS if find_spec(f"taskflow.cli.{name}") is not None)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(importlib.import_module(f"taskflow.cli.{cmd_name}"), cmd_name)
        if isinstance(command, click.Group):
            for name, module in _SUBCOMMANDS.get(cmd_name, {}).items():
                command.add_command(getattr(importlib.import_module(module), name), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            _correct(error)
            # Only here, likewise.
            from .words import MAIN, rewritten

            if (other := rewritten(self, MAIN, given)) == given:
                raise
        return super().parse_args(ctx, other)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, NOUNS[name]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever goes wrong is one line and an exit code, unless TASKFLOW_DEBUG=1."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)
        except click.UsageError as error:
            _correct(error)
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if is_debugging() or _is_closed_pipe(error):
                raise
            raise Failure(error) from error


class Failure(click.ClickException):
    """An error as one line: ours says what to do; any other is a bug, of which only its kind is shown."""

    def __init__(self, error: Exception) -> None:
        if isinstance(error, TaskFlowError | OSError):
            text, code = str(error), 2
        else:
            # The text of an unforeseen error may hold somebody's data.
            text, code = f"unexpected {type(error).__name__}; {DEBUG_VARIABLE}=1 shows where it comes from", 1
        super().__init__(clean(" ".join(text.split())))
        self.exit_code: int = code  # type: ignore[misc]  # click reads it from the instance


def _correct(error: click.UsageError) -> None:
    # Only here: a command that is written well starts without it.
    from .hints import correct

    correct(error)


def _is_closed_pipe(error: Exception) -> bool:
    """`taskflow queue ls | head`: click ends silently."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@remember_target
@click.version_option(__version__, "--version", prog_name="taskflow", message="%(prog)s %(version)s")
def main() -> None:
    """Task queues on Redis, Valkey and Redis Cluster, in Asynq's format.

    -A and -b may also follow the command. TASKFLOW_APP is the app where there is no -A.
    """
