"""What every command takes: `-A/--app` and `-b/--broker`, before or after the command's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import InvalidOption
from ..project import Project, project_of

if TYPE_CHECKING:
    from ..message.message_crypto import MessageCrypto
    from ..tasks.app import TaskFlow

APP_VARIABLE = "TASKFLOW_APP"
BROKER_VARIABLE = "TASKFLOW_BROKER"
DEBUG_VARIABLE = "TASKFLOW_DEBUG"

_APP = "taskflow.app"
_BROKER = "taskflow.broker"
_GIVEN = "taskflow.given"

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """What a command was told about app and broker, wherever on the line or, of the app, by `TASKFLOW_APP`; None: nothing.

    Args:
        app: the app's name on the line.
        broker: the broker's URL.
        given: the app itself, where the command line is that of a framework which has it already.
    """

    app: str | None
    broker: str | None
    given: TaskFlow | None = None

    def __repr__(self) -> str:
        """A broker URL may hold a password."""
        return f"Target(app={self.app!r}, broker={'…' if self.broker else None})"

    @property
    def broker_url(self) -> str:
        """The broker to use: `--broker`, else the app's, else `TASKFLOW_BROKER`, else the project's development server.

        Raises:
            AppNotFound: the app cannot be loaded.
        """
        if self.broker is not None:
            return self.broker
        if self.app is not None:
            return self.load().broker_url
        return os.environ.get(BROKER_VARIABLE) or here().url

    @property
    def crypto(self) -> MessageCrypto | None:
        """The app's keys; None without an app, or if it has none.

        Raises:
            AppNotFound: the app cannot be loaded.
        """
        return self.load()._crypto if self.app is not None else None

    def load(self) -> TaskFlow:
        """The app.

        Raises:
            AppNotFound: it cannot be loaded.
        """
        # Only here, so that a command without -A starts without the user's API.
        from taskflow.tasks.loader import complete, load_app

        assert self.app is not None, "whoever loads it has looked"
        return load_app(self.app) if self.given is None else complete(self.given, self.app)


def here() -> Project:
    """The project of the current directory.

    Raises:
        InvalidOption: there is no home directory, so no place for its server.
    """
    try:
        return project_of(None)
    except RuntimeError:
        raise InvalidOption(
            "the project's development server has no place, since there is no home directory; name a broker with -b, or set "
            "XDG_DATA_HOME"
        ) from None


def is_debugging() -> bool:
    """Whether errors are to come with their tracebacks."""
    return os.environ.get(DEBUG_VARIABLE) == "1"


def remember_target(command: _Function) -> _Function:
    """Add the two options to a group: what is given there holds for the commands below it."""
    app = click.option(
        "-A",
        "--app",
        metavar="MODULE[:ATTRIBUTE]",
        expose_value=False,
        callback=_remember(_APP),
        help=f"The app; its broker is used.  [default: ${APP_VARIABLE}]",
    )
    broker = click.option(
        "-b",
        "--broker",
        metavar="URL",
        expose_value=False,
        callback=_remember(_BROKER),
        help=f"The broker.  [default: the app's, else ${BROKER_VARIABLE}, else the project's server]",
    )
    return app(broker(command))


def target_options(command: _Function) -> Callable[..., Any]:
    """Add the two options to a command, which gets a `Target` as its argument `target`.

    What stands after the command's name wins over what stands before it.
    """

    @wraps(command)
    def with_target(*args: Any, **kwargs: Any) -> Any:
        meta = click.get_current_context().meta
        spec, given = meta.get(_APP), None
        if not spec and _GIVEN in meta:
            spec, given = meta[_GIVEN]
        return command(
            *args,
            target=Target(spec or os.environ.get(APP_VARIABLE) or None, meta.get(_BROKER), given),
            **kwargs,
        )

    return remember_target(with_target)


def give_app(context: click.Context, app: TaskFlow, name: str) -> None:
    """Have the commands below a group use an app that is there already, unless -A says another: for a group within the command of
    a framework, as `flask taskflow …`. The command `worker` imports an app by its name in any case.

    Args:
        context: of the group.
        app: the app.
        name: what it is called in errors.
    """
    context.meta[_GIVEN] = name, app


def _remember(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def remember(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.meta[name] = value

    return remember
