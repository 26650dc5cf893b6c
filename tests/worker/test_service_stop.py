"""A loop stops when it is told to, whatever its round does with the cancellation."""

from __future__ import annotations

import asyncio
import time

import pytest

from taskflow.errors import BrokerUnavailable
from taskflow.worker.service import LEAST_PAUSE, Service
from tests.servers import until


class Stubborn(Service):
    """Takes the first cancellation for its own time limit, as a client that is just connecting may."""

    name = "stubborn"

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = 0

    async def tick(self) -> float:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            if self.cancelled > 1:
                raise
        return 60.0


def test_a_cancellation_that_is_lost_is_repeated() -> None:
    async def main() -> int:
        service = Stubborn()
        service.start()
        await asyncio.sleep(0)
        await asyncio.wait_for(service.stop(), 5)
        return service.cancelled

    assert asyncio.run(main()) >= 1


def test_a_loop_that_is_started_anew_does_not_run_twice() -> None:
    """A worker that was stopped (SIGSTOP) and goes on starts its loops anew. The subscriber's cancellation was lost in a
    PING that was just being sent: two rounds read from one connection.
    """

    async def main() -> bool:
        service = Stubborn()
        service.start()
        await asyncio.sleep(0)
        old = service._task
        await service.rebuild()
        assert old is not None
        ended = old.done()
        await service.stop()
        return ended

    assert asyncio.run(main())


def test_a_loop_may_be_stopped_by_two_at_once() -> None:
    """A worker was quieted, resumed and quieted within a moment: the slower stop failed, and left what it should have closed."""

    async def main() -> bool:
        service = Stubborn()
        service.start()
        await asyncio.sleep(0)
        await asyncio.gather(service.stop(), service.stop())
        return service.runs

    assert not asyncio.run(main())


class Waits(Service):
    """Waits in vain for a broker that says nothing."""

    name = "waits"

    def __init__(self) -> None:
        super().__init__()
        self.began: list[float] = []

    async def tick(self) -> float:
        self.began.append(time.monotonic())
        await asyncio.sleep(1.0)
        raise BrokerUnavailable("no answer in time")


def test_a_loop_that_has_waited_long_for_an_answer_does_not_pause_as_long_again() -> None:
    """While a node's host was silent each round took ten seconds, and then paused for up to five: a replica that had taken over
    meanwhile was found that much later.
    """

    sleep, pauses = asyncio.sleep, []

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(seconds)

    async def main() -> None:
        service = Waits()
        service.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "sleep", noted)
            while len(service.began) < 2:
                await sleep(0.005)
        await service.stop()

    asyncio.run(main())
    # Of the round, of the loop: the pause after a first failure is half a second to a second.
    assert pauses[:2] == [1.0, LEAST_PAUSE]


def test_a_loop_says_when_what_it_does_first_is_done_well_or_not() -> None:
    """The end of a burst waits for it: what a slow loop would have found first was left behind."""

    class First(Service):
        def __init__(self, error: Exception | None = None) -> None:
            super().__init__()
            self.error = error
            self.go_on = asyncio.Event()

        async def tick(self) -> float:
            await self.go_on.wait()
            if self.error:
                raise self.error
            return 60.0

    async def main() -> None:
        for service in (First(), First(BrokerUnavailable("away")), First(ValueError("ours"))):
            service.start()
            await asyncio.sleep(0)
            assert not service.has_looked
            service.go_on.set()
            await until(lambda service=service: service.has_looked)  # type: ignore[misc]
            await service.stop()

    asyncio.run(main())
