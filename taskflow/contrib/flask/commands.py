"""`flask taskflow …`: the commands of `taskflow`, with the app that Flask has found."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from flask import current_app
from flask.cli import ScriptInfo, prepare_import

from taskflow.cli.main import LazyGroup, give_app, main
from taskflow.errors import AppNotFound

from .settings import KEY

WORKER = "worker"

_ARGUMENTS = "taskflow.contrib.flask.arguments"


class FlaskCommands(LazyGroup):
    """The group. What stands behind `flask taskflow` is what stands behind `taskflow`.

    Args:
        name: of the group.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            params=main.params,
            context_settings=main.context_settings,
            callback=_with_the_application,
            short_help="Tasks: the worker, queues, and all else that `taskflow` has.",
            help="Everything that the command taskflow has, with this application.\n\n-A and -b may also follow the command.",
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command."""
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)


@click.pass_context
def _with_the_application(context: click.Context) -> None:
    info = context.ensure_object(ScriptInfo)
    app = info.load_app()
    if context.invoked_subcommand == WORKER:
        _become_the_worker(info, context.meta[_ARGUMENTS])
    if not current_app:
        context.with_resource(app.app_context())
    give_app(context, app.extensions[KEY.lower()], app.import_name)


def _become_the_worker(info: ScriptInfo, arguments: tuple[str, ...]) -> None:
    """Run the command of its own in the place of this process, which has imported the application: a worker's process does not,
    so that nothing of it, a crash, a lock or its memory, is the worker's.
    """
    command = [sys.executable, "-P", "-m", "taskflow", "-A", _named(info), *arguments]
    environment = dict(os.environ)
    found_in = os.path.realpath(sys.path[0])
    if info.app_import_path and found_in != os.path.realpath(os.getcwd()):
        # `--app src/shop`: Flask looks in src, and so have the children to.
        environment["PYTHONPATH"] = os.pathsep.join([found_in, *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, environment)


def _named(info: ScriptInfo) -> str:
    """How `-A` names what Flask has found.

    Raises:
        AppNotFound: it was made by a function that has no name by which a child could import it.
    """
    if info.create_app is not None:
        module, name = info.create_app.__module__, info.create_app.__qualname__
        if getattr(sys.modules.get(module), name, None) is not info.create_app or module == "__main__":
            raise AppNotFound(
                "flask taskflow worker: this command makes its application by a function that no other process can import; name "
                "the application: taskflow worker -A module:create_app"
            )
        return f"{module}:{name}"
    if info.app_import_path:
        # As Flask takes it apart; a colon before a slash is that of a drive.
        path, _, name = info.app_import_path.partition(":")
        module = prepare_import(path)
        return f"{module}:{name}" if name else module
    return next(file.stem for file in (Path("wsgi.py"), Path("app.py")) if file.exists())
