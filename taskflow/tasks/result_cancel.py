"""Cancelling the task of a handle, and Celery's name for it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..connection.coroutines import complete
from ..errors import InvalidOption
from ..states import CancelOutcome

if TYPE_CHECKING:
    from ..client.client import Client

Terminate = bool | float | timedelta


class ResultCancel:
    """The part of a handle that cancels its task; `AsyncResult` sets what is declared here."""

    id: str
    queue: str
    _client: Client

    def cancel(self, *, terminate: bool | float | timedelta = False) -> CancelOutcome:
        """Cancel the task, wherever it is. It is not run (again), whatever becomes of the worker that has it. See docs/cancel.md.

        Args:
            terminate: whether the process of a task that runs is killed if the task goes on. True: after 5 s; or after so many
                seconds (0: at once).

        Returns:
            `CANCELLED`: it waited, and is archived with the error "cancelled". `ASKED`: it runs, and its worker is told:
            `get()` says how it ended. `ENDED`: it had ended, or its queue does not know it (any more).

        Raises:
            IllegalMove: a program of Go's is just putting its group together.
            BrokerUnavailable: the broker did not answer.

        Example:
            >>> result.cancel()                                           # doctest: +SKIP
            <CancelOutcome.ASKED: 'asked'>
        """
        # Only here, as below: who cancels nothing has no use for what does.
        from ..inspector import cancelling
        from ..inspector.both import ThreadBroker

        grace = cancelling.grace_of(terminate)
        if self._is_lost():
            self._read()
        if self._is_lost():
            return CancelOutcome.ENDED
        broker = ThreadBroker(self._client.broker)
        return cancelling.OUTCOMES[complete(cancelling.cancel_one(broker, self.queue, self.id, grace))]

    async def acancel(self, *, terminate: bool | float | timedelta = False) -> CancelOutcome:
        """As `cancel`, from a coroutine."""
        from ..inspector import cancelling
        from ..inspector.both import LoopBroker

        grace = cancelling.grace_of(terminate)
        if self._is_lost():
            await self._aread()
        if self._is_lost():
            return CancelOutcome.ENDED
        client = self._client.async_broker
        broker = LoopBroker(client, await client.driver.open())
        return cancelling.OUTCOMES[await cancelling.cancel_one(broker, self.queue, self.id, grace)]

    def revoke(self, terminate: bool | float | timedelta = False, signal: str | None = None) -> CancelOutcome:
        """Celery's name for `cancel`. Other than there it lasts: no worker has to be there to hear it.

        Args:
            terminate: as for `cancel`.
            signal: with `terminate`: "SIGTERM" as without it, or "SIGKILL", which kills at once.

        Raises:
            InvalidOption: any other signal.
        """
        return self.cancel(terminate=_by_signal(terminate, signal))

    async def arevoke(
        self, terminate: bool | float | timedelta = False, signal: str | None = None
    ) -> CancelOutcome:
        """As `revoke`, from a coroutine."""
        return await self.acancel(terminate=_by_signal(terminate, signal))

    def _is_lost(self) -> bool:
        """Whether it is not known in which queue, or partition, the task is."""
        raise NotImplementedError

    def _read(self) -> Any:
        raise NotImplementedError

    async def _aread(self) -> Any:
        raise NotImplementedError


def _by_signal(terminate: Terminate, signal: str | None) -> Terminate:
    name = str(signal or "SIGTERM").upper()
    if name.removeprefix("SIG") not in ("TERM", "KILL"):
        raise InvalidOption(
            f"a task is ended by TaskCancelled and then, with terminate, by SIGKILL: signal={signal!r} cannot be sent; "
            'give terminate=<seconds>, or signal="SIGKILL" for at once'
        )
    return 0.0 if terminate is True and name.endswith("KILL") else terminate
