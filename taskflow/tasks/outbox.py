"""What an app does with calls that go through its outbox, instead of to the broker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING, Protocol

from ..broker.commands.enqueue import NewTask
from ..errors import PayloadTooLarge
from ..message.ids import new_id
from ..message.message_crypto import NO_KEYS, MessageCrypto
from ..message.ready import ReadyTask

if TYPE_CHECKING:
    from ..client.bulk import EnqueueOutcome
    from ..client.client import Client
    from ..client.enqueueing import OnOutcomes

TOGETHER = 500
"""Calls that an outbox is given at once, at most."""

MOST_BYTES = 1024 * 1024
"""Bytes that the arguments of a call may have where the app has a store: nothing is put there for an outbox."""


class Outbox(Protocol):
    """Where finished calls are kept until they are delivered: a table of the program's own database, say.

    What it raises, the caller of `.delay()` gets.
    """

    def put(self, tasks: Sequence[ReadyTask]) -> None:
        """Keep these calls, in their order; from a thread."""

    def aput(self, tasks: Sequence[ReadyTask]) -> Awaitable[None]:
        """The same from a coroutine."""


class Keeping:
    """Puts the calls of one app into its outbox.

    Args:
        outbox: the outbox.
        always: whether calls go there that do not say by the option `outbox`, or what says it.
        client: gives the app's, which knows the partitions.
        crypto: signs and encrypts; None: nobody does.
    """

    def __init__(
        self,
        outbox: Outbox,
        always: bool | Callable[[], bool],
        client: Callable[[], Client],
        crypto: MessageCrypto | None,
    ) -> None:
        self._outbox = outbox
        self._always = always
        self._client = client
        self._inline = crypto is None or crypto.offload is None
        # What waits in a store for its task is taken for garbage after a while, and a call in an outbox may wait for longer.
        self._crypto = crypto.without_store() if crypto is not None else None

    def takes(self, new: NewTask) -> bool:
        """Whether a call goes through the outbox."""
        wanted = new.terms.outbox
        if wanted is None:
            return self._always() if callable(self._always) else self._always
        return wanted

    def put(self, new: NewTask) -> EnqueueOutcome:
        """Keep a call."""
        settled, ready = self._ready(new)
        self._outbox.put([ready])
        return _kept(settled)

    async def aput(self, new: NewTask) -> EnqueueOutcome:
        """As `put`, from a coroutine."""
        settled, ready = self._ready(new)
        await self._outbox.aput([ready])
        return _kept(settled)

    def send(self, new: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """Keep calls as they come, and send those among them that do not go through the outbox."""
        for takes, run in groupby(new, self.takes):
            if not takes:
                self._client().enqueue_many(run, timeout, on_outcomes)
                continue
            for calls, settled, ready in self._chunks(run):
                self._outbox.put(ready)
                on_outcomes(calls, [_kept(one) for one in settled])

    async def asend(self, new: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """As `send`, from a coroutine."""
        for takes, run in groupby(new, self.takes):
            if not takes:
                await self._client().aenqueue_many(run, timeout, on_outcomes)
                continue
            for calls, settled, ready in self._chunks(run):
                await self._outbox.aput(ready)
                on_outcomes(calls, [_kept(one) for one in settled])

    def _chunks(
        self, run: Iterator[NewTask]
    ) -> Iterator[tuple[list[NewTask], list[NewTask], list[ReadyTask]]]:
        while calls := list(islice(run, TOGETHER)):
            made = [self._ready(one) for one in calls]
            yield calls, [settled for settled, _ in made], [ready for _, ready in made]

    def _ready(self, new: NewTask) -> tuple[NewTask, ReadyTask]:
        """A call in its partition, and as it is kept."""
        terms = new.terms
        name = terms.message.type
        if not self._inline and len(new.payload) > MOST_BYTES:
            raise PayloadTooLarge(name, len(new.payload), MOST_BYTES)
        settled = self._client().settled(new)
        closed = settled
        if self._crypto is not None or terms.compresses:
            closed = settled.closed(self._crypto or NO_KEYS)
        # An id that somebody chose may be used again when its task is gone: then it is another call, which must not be taken for
        # a second delivery of the first.
        once = f"{closed.id}:{new_id()}" if closed.named else closed.id
        return settled, ReadyTask(
            closed.id,
            settled.terms.queue,
            name,
            closed.encoded or closed.encode(),
            once,
            terms.delay,
            terms.process_at,
            terms.expires,
            terms.expires_at,
            closed.lock if terms.lock_seconds else "",
            terms.lock_seconds,
            terms.group,
        )


def _kept(settled: NewTask) -> EnqueueOutcome:
    # Only here: it comes with the client, which is there by now.
    from ..client.bulk import EnqueueOutcome

    return EnqueueOutcome(None, task=settled, kept=True)
