"""The broker for threads: runs commands and gives their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..connection.steps import Request, value_or_raise
from ..connection.sync import SyncDriver
from .command import TIMEOUT, Command, Plain

T = TypeVar("T")


class Broker:
    """Runs commands on a broker, from any thread.

    Args:
        driver: what carries the requests; a wrapper around it may inject faults.
    """

    def __init__(self, driver: SyncDriver) -> None:
        self.driver = driver

    def run(self, command: Command[T] | Plain[T], timeout: float = TIMEOUT) -> T:
        """Run one command.

        Args:
            command: what to run.
            timeout: seconds for everything together.

        Raises:
            BrokerUnavailable: no answer within `timeout`.
            BrokerAuthError: the server refused the user.
            ScriptError: the script failed in a way that a repetition cannot mend.
        """
        value: T = value_or_raise(self.driver.execute((command,), timeout)[0])
        return value

    def run_many(
        self,
        commands: Sequence[Request],
        timeout: float = TIMEOUT,
        meanwhile: Callable[[], None] | None = None,
    ) -> list[Any]:
        """Run commands, one pipeline per node: for each its value, or its `BrokerError` in place.

        Args:
            commands: what to run.
            timeout: seconds for everything together.
            meanwhile: called once while they are under way.
        """
        return self.driver.execute(commands, timeout, meanwhile)

    def close(self) -> None:
        """Close idle connections."""
        self.driver.close()
