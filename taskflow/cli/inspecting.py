"""What the commands share that read and administer a broker: the inspector, and orders for several names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import click

from ..broker.sync import Broker
from ..connection.sync import SyncDriver
from ..errors import BrokerError, TaskFlowError
from ..inspector import Inspector
from .options import Target, is_debugging, target_options
from .output import clean


def inspects(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options for app and broker, and an `Inspector` as its first argument.

    A command that is told to show payloads checks results with the app's keys, if it is given one.
    """

    @target_options
    @wraps(command)
    def with_inspector(*args: Any, target: Target, **kwargs: Any) -> Any:
        broker = Broker(SyncDriver(target.broker_url))
        try:
            crypto = target.crypto if kwargs.get("payload") else None
            return command(Inspector(broker, crypto), *args, **kwargs)
        finally:
            broker.close()

    return with_inspector


def for_each(names: Iterable[str], order: Callable[[str], str]) -> None:
    """Carry out an order for each name and print what it says.

    After a refusal the others are still carried out, and the exit code is 2 at the end. An error of the
    broker concerns all of them: it ends the command.
    """
    refused = False
    for name in names:
        try:
            click.echo(clean(order(name)))
        except BrokerError:
            raise
        except TaskFlowError as error:
            if is_debugging():
                raise
            refused = True
            click.echo(f"Error: {clean(str(error))}", err=True)
    if refused:
        click.get_current_context().exit(2)
