"""Which sandbox the process is in: what moves times, or runs whatever it finds, asks here first."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ..broker.sync import Broker
from ..errors import ConfigurationError, InvalidOption
from .servers import Kind, servers


@dataclass(frozen=True, slots=True)
class PutOff:
    """When a task is due: in Unix seconds, and in how many seconds from when it was put off."""

    at: float
    delay: float


@dataclass(slots=True, eq=False)
class Here:
    """The private server of the test that runs, or its eager mode.

    Args:
        kind: which server; None: eager mode, which has none.
        began_at: when the sandbox began, on the monotonic clock.
        advanced_seconds: by how much its time has been advanced.
        frozen_at: since when time stands still (monotonic seconds); None: it does not.
        noted: the tasks that were put off in this process since time was moved last, by id.
    """

    kind: Kind | None
    began_at: float = field(default_factory=time.monotonic)
    advanced_seconds: float = 0.0
    frozen_at: float | None = None
    noted: dict[str, PutOff] = field(default_factory=dict)

    @property
    def broker(self) -> Broker:
        """Our own connections to the server.

        Raises:
            InvalidOption: in eager mode.
        """
        if self.kind is None:
            raise InvalidOption(
                "in eager mode tasks run where they are enqueued: nothing waits that could be looked at, run or advanced. Use a "
                'sandbox with a server (broker="server")'
            )
        return servers.broker(self.kind)


stack: list[Here] = []
"""Of one at most."""


def here() -> Here:
    """The sandbox that the process is in.

    Raises:
        ConfigurationError: there is none.
    """
    if not stack:
        raise ConfigurationError(
            "there is no sandbox: this is for the private server of a test, by the fixture taskflow_sandbox or with "
            "taskflow.testing.sandbox()"
        )
    return stack[-1]
