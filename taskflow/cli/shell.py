"""`taskflow shell`: Python with the app, its tasks and the inspector at hand."""

from __future__ import annotations

import code
import keyword
import sys
from importlib.util import find_spec
from typing import Any

import click

import taskflow

from ..tasks.app import TaskFlow
from .options import Target, target_options
from .output import clean


@click.command("shell", context_settings={"help_option_names": ["-h", "--help"]})
@target_options
@click.option("-c", "--command", metavar="CODE", help="Run this, and end.")
@click.option("--plain", is_flag=True, help="Python's own prompt, also where IPython is installed.")
def shell(target: Target, command: str | None, plain: bool) -> None:
    """Start Python with the app, its tasks by the names of their functions, and the inspector at hand.

    IPython is used where it is installed.
    """
    app = target.load() if target.app is not None else TaskFlow("taskflow shell", broker=target.broker_url)
    if target.broker is not None:
        app.use_broker(target.broker)
    names = at_hand(app)
    try:
        if command is not None:
            exec(compile(command, "<command>", "exec"), names)
        elif not plain and find_spec("IPython") is not None:
            _ipython(names, greeting(app, names))
        else:
            _python(names, greeting(app, names))
    finally:
        app.close()


def at_hand(app: TaskFlow) -> dict[str, Any]:
    """What the shell knows by name. A task is called as its function, unless another task or one of our names is called so."""
    ours: dict[str, Any] = {
        "app": app,
        "inspector": app.inspector,
        "tasks": app.tasks,
        "taskflow": taskflow,
        "AsyncResult": taskflow.AsyncResult,
        "State": taskflow.State,
        "errors": taskflow.errors,
    }
    by_function: dict[str, list[Any]] = {}
    for task in app.tasks.values():
        by_function.setdefault(task.__name__, []).append(task)
    tasks = {
        name: found[0]
        for name, found in by_function.items()
        if len(found) == 1 and name.isidentifier() and not keyword.iskeyword(name)
    }
    return {"__name__": "__console__", "__doc__": None, **tasks, **ours}


def greeting(app: TaskFlow, names: dict[str, Any]) -> str:
    """What stands above the first prompt."""
    tasks = sorted(name for name, value in names.items() if value in app.tasks.values())
    shown = ", ".join(tasks[:20]) + (f" and {len(tasks) - 20} more" if len(tasks) > 20 else "")
    lines = [f"taskflow {taskflow.__version__}: app is {app!r}; inspector, tasks, AsyncResult, State, errors"]
    return "\n".join(clean(line) for line in [*lines, *([f"tasks: {shown}"] if tasks else [])])


def _python(names: dict[str, Any], banner: str) -> None:
    if sys.stdin.isatty():
        # Only here: what they do to the terminal has no place in a pipe.
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
    code.interact(banner=banner, local=names, exitmsg="")


def _ipython(names: dict[str, Any], banner: str) -> None:
    # Only here: few have it, and it takes its time.
    from IPython import start_ipython
    from traitlets.config import Config

    config = Config()
    config.TerminalInteractiveShell.banner1 = banner + "\n"
    config.TerminalInteractiveShell.confirm_exit = False
    start_ipython(argv=[], user_ns=names, config=config)
