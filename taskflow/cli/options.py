"""What every command takes: `-A/--app` and `-b/--broker`, before or after the command's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ..message.message_crypto import MessageCrypto
    from ..tasks.app import TaskFlow

BROKER_VARIABLE = "TASKFLOW_BROKER"
DEFAULT_BROKER = "embedded://"
DEBUG_VARIABLE = "TASKFLOW_DEBUG"

_APP = "taskflow.app"
_BROKER = "taskflow.broker"

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """What a command was told about app and broker, wherever on the line; None: nothing."""

    app: str | None
    broker: str | None

    def __repr__(self) -> str:
        """A broker URL may hold a password."""
        return f"Target(app={self.app!r}, broker={'…' if self.broker else None})"

    @property
    def broker_url(self) -> str:
        """The broker to use: `--broker`, else the app's, else `TASKFLOW_BROKER`, else the embedded server.

        Raises:
            AppNotFound: the app cannot be loaded.
        """
        if self.broker is not None:
            return self.broker
        if self.app is not None:
            return _load(self.app).broker_url
        return os.environ.get(BROKER_VARIABLE) or DEFAULT_BROKER

    @property
    def crypto(self) -> MessageCrypto | None:
        """The app's keys; None without an app, or if it has none.

        Raises:
            AppNotFound: the app cannot be loaded.
        """
        return _load(self.app)._crypto if self.app is not None else None


def _load(app: str) -> TaskFlow:
    # Only here, so that a command without -A starts without the user's API.
    from taskflow.tasks.loader import load_app

    return load_app(app)


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
        help="The app; its broker is used.",
    )
    broker = click.option(
        "-b",
        "--broker",
        metavar="URL",
        expose_value=False,
        callback=_remember(_BROKER),
        help=f"The broker.  [default: the app's, else ${BROKER_VARIABLE}, else {DEFAULT_BROKER}]",
    )
    return app(broker(command))


def target_options(command: _Function) -> Callable[..., Any]:
    """Add the two options to a command, which gets a `Target` as its argument `target`.

    What stands after the command's name wins over what stands before it.
    """

    @wraps(command)
    def with_target(*args: Any, **kwargs: Any) -> Any:
        meta = click.get_current_context().meta
        return command(*args, target=Target(meta.get(_APP), meta.get(_BROKER)), **kwargs)

    return remember_target(with_target)


def _remember(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def remember(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.meta[name] = value

    return remember
