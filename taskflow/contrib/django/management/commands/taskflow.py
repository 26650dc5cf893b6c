"""`manage.py taskflow …`: all that the command `taskflow` can, with the project's app in the place of `-A`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, SystemCheckError

from taskflow.cli.main import main

from ...outbox.command import relay

NAMED = ("-A", "--app", "-b", "--broker")
"""Options that may stand before the command, with a value behind them."""


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """Hands the line over: to a process that is the worker's alone, or to the command in this one."""

    help = "Queues, tasks and workers: `manage.py taskflow worker`, `manage.py taskflow --help`."

    def add_arguments(self, parser: CommandParser) -> None:
        """All of it is the command's own; for `call_command`."""
        parser.add_argument("args", nargs=argparse.REMAINDER)

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """`manage.py help taskflow`."""
        main(["--help"], prog_name=f"{os.path.basename(prog_name)} {subcommand}", standalone_mode=False)

    def run_from_argv(self, argv: list[str]) -> None:
        """Run what was typed. Django's own parser would take `-v`, `--version` and `--help` for itself."""
        own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        own.add_argument("--settings")
        own.add_argument("--pythonpath")
        own.add_argument("--skip-checks", action="store_true")
        given, line = own.parse_known_args(argv[2:])
        if _command(line) == "worker" and not given.skip_checks:
            try:
                self.check()
            except SystemCheckError as error:
                self.stderr.write(str(error), lambda text: text)
                sys.exit(1)
        self._run(line, f"{os.path.basename(argv[0])} {argv[1]}", standalone_mode=True)

    def handle(self, *args: str, **options: Any) -> None:
        """For `call_command("taskflow", "queue", "ls")`, which gives what is printed to its `stdout`."""
        if _command(args) == "worker":
            raise CommandError(
                "a worker has a process of its own: start `manage.py taskflow worker` there; in a test, "
                "`async with app.worker():` runs one in this process"
            )
        self.stdout.ending = ""  # Django's own puts one behind whatever is written
        with contextlib.redirect_stdout(self.stdout):
            self._run(args, "manage.py taskflow", standalone_mode=False)

    def _run(self, line: Sequence[str], name: str, *, standalone_mode: bool) -> None:
        if _command(line) == "relay":
            code = relay([word for word in line if word != "relay"], f"{name} relay", self.stdout)
            if standalone_mode:
                sys.exit(code)
            if code:
                raise CommandError("not all calls in the outbox are delivered", returncode=code)
            return
        app = _app()
        if _command(line) == "worker":
            _become([*line, *([] if _names_app(line) else ["-A", app])])
        before = os.environ.get("TASKFLOW_APP")
        os.environ["TASKFLOW_APP"] = app
        try:
            main(list(line), prog_name=name, standalone_mode=standalone_mode)
        finally:
            if before is None:
                del os.environ["TASKFLOW_APP"]
            else:
                os.environ["TASKFLOW_APP"] = before


def _become(line: Sequence[str]) -> NoReturn:
    """Go on as the worker's process, under the same process id. It never has the user's code in it, and this one has."""
    sys.stdout.flush()
    sys.stderr.flush()
    warnings = [f"-W{option}" for option in sys.warnoptions]
    # -P: or a module of the project's, such as its queue.py, came before Python's own.
    command = [sys.executable, "-P", *warnings, "-m", "taskflow", *line]
    os.execve(sys.executable, command, _environment())


def _environment() -> Mapping[str, str]:
    """With the project on Python's path, where it is elsewhere: `python /srv/shop/manage.py taskflow worker`."""
    package = sys.modules.get(_app())
    file = getattr(package, "__file__", None)
    if file is None:
        return os.environ
    root = Path(file).parent.parent if hasattr(package, "__path__") else Path(file).parent
    if root.resolve() == Path.cwd():
        return os.environ
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _app() -> str:
    """What stands for the project in `-A`: the package of its settings.

    Raises:
        CommandError: the settings are in no module.
    """
    module = getattr(settings, "SETTINGS_MODULE", None)
    if not module:
        raise CommandError(
            "the settings were given by settings.configure(), where a worker's processes could not find them: put them into "
            "a module"
        )
    return str(module).partition(".")[0]


def _command(line: Sequence[str]) -> str | None:
    """The first word that is no option, and no option's value."""
    words = iter(line)
    for word in words:
        if word in NAMED:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _names_app(line: Sequence[str]) -> bool:
    return any(word in ("-A", "--app") or word.startswith(("-A", "--app=")) for word in line)
