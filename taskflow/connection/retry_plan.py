"""How requests become replies, whatever happens in between: one generator, no I/O.

The generator yields what is to be done (`Trips`, `Refresh`, `Pause`) and is sent what came of it. The
synchronous and the asyncio driver carry the steps out; everything that decides is here, once.

A request that may have run although no reply came is sent again with its re-send flag set: its script then
takes "already done" for success.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from typing import Any

from ..errors import BrokerAuthError, BrokerError, BrokerUnavailable, ScriptError
from .confirming import FIRST_WAIT, Replicas
from .faults import Fault, Remedy, is_timeout, understand
from .refusals import is_a_cluster, refusal
from .steps import Answer, Broken, Confirmed, NotSent, Pause, Refresh, Request, Step, Trip, Trips, no_answer
from .topology import Address, Topology

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
REDIRECTS_AT_ONCE = 5


class _Attempt:
    __slots__ = ("asking", "full", "misses", "redirects", "refused", "resent")

    def __init__(self) -> None:
        self.misses = 0
        self.full = False
        self.resent = False
        self.asking: Address | None = None
        self.redirects = 0
        self.refused = False


class RetryPlan:
    """Some requests on their way to their replies."""

    def __init__(
        self, requests: Sequence[Request], topology: Topology, deadline: float, clock: Callable[[], float]
    ) -> None:
        self._requests = requests
        self._topology = topology
        self._deadline = deadline
        self._clock = clock
        self._results: list[Any] = [None] * len(requests)
        self._open: dict[int, _Attempt] = {index: _Attempt() for index in range(len(requests))}
        self._trouble: Fault | None = None
        self._calm = True
        self._replicas = Replicas(topology)

    def run(self, first: tuple[Address, Answer] | None = None) -> Generator[Step, Any, list[Any]]:
        """Yield steps until every request has a value or a `BrokerError`; return them in the order of the
        requests.

        Args:
            first: the answer to the first trip of a lone request, if it has been made already, and by whom it was given.
        """
        pause = FIRST_PAUSE
        while self._open:
            generation = self._topology.generation
            if first is None:
                asked = [one.slot for one in self._requests if one.node is None]
                if self._calm and self._topology.may_have_changed(asked, self._clock()):
                    yield Refresh(generation)
                    generation = self._topology.generation
                yield from self._round()
            else:
                self._take(first[0], [0], first[1])
                first = None
            if not self._open:
                break
            if self._trouble is None:
                continue
            self._calm = False
            wait = pause * random.uniform(0.5, 1.0)
            if self._clock() + wait >= self._deadline:
                self._give_up()
                break
            yield Refresh(generation)
            yield Pause(min(wait, max(self._deadline - self._clock(), 0.0)))
            pause = min(pause * 2, LONGEST_PAUSE)
        return self._results

    def _round(self) -> Generator[Step, Any, None]:
        self._trouble = None
        routes = self._routes()
        if not routes:
            return
        trips = [self._trip(address, indexes) for address, indexes in routes.items()]
        answers = yield Trips(trips)
        for (address, indexes), answer in zip(routes.items(), answers, strict=True):
            self._take(address, indexes, answer)

    def _take(self, address: Address, indexes: list[int], answer: Answer) -> None:
        if isinstance(answer, Broken):
            self._topology.alone.discard(address)
            self._topology.missed(address, self._clock())
            if is_timeout(answer.error) and answer.sent and not answer.replies:
                self._topology.mark_slow(address, self._clock())
            self._broken(address, self._unanswered(address, indexes, answer.replies), answer)
        else:
            self._answered(address, indexes, answer)

    def _routes(self) -> dict[Address, list[int]]:
        routes: dict[Address, list[int]] = {}
        for index, attempt in list(self._open.items()):
            request = self._requests[index]
            address = attempt.asking or request.node or self._topology.owner(request.slot)
            if address is None:
                problem = self._topology.problem or "no node is known to serve this key slot"
                self._trouble = Fault(Remedy.WAIT, problem)
                self._miss(index)
            else:
                routes.setdefault(address, []).append(index)
        return routes

    def _trip(self, address: Address, indexes: list[int]) -> Trip:
        wires: list[tuple[Any, ...]] = []
        for index in indexes:
            attempt = self._open[index]
            if attempt.asking is not None:
                wires.append(("ASKING",))
            wires.append(self._requests[index].wire(full=attempt.full, resent=attempt.resent))
        if any(self._requests[index].durable for index in indexes):
            wires += self._replicas.question(address, self._clock(), self._deadline, calm=self._calm)
        return Trip(address, wires, any(self._requests[index].movable for index in indexes))

    def _unanswered(self, address: Address, indexes: list[int], replies: Sequence[Any]) -> list[int]:
        """Take the replies that came before the break: otherwise a pipeline of hundreds might begin anew each time and never end.

        Durable requests are left out. The answer to the WAIT behind them is missing, so nobody has confirmed them.
        """
        count = end = 0
        for index in indexes:
            position = end + 1 + (self._open[index].asking is not None)
            if position > len(replies) or self._requests[index].durable:
                break
            count, end = count + 1, position
        if count:
            self._answered(address, indexes[:count], list(replies[:end]))
        return indexes[count:]

    def _broken(self, address: Address, indexes: list[int], broken: Broken) -> None:
        fault = understand(broken.error)
        # An error that a server says before it closes the connection is the answer to every request that was sent on it.
        last = broken.replies[-1] if broken.replies else None
        refused = self._refusal(address, last if isinstance(last, Exception) else broken.error)
        for index in indexes:
            attempt = self._open[index]
            attempt.asking = None
            attempt.resent = attempt.resent or broken.sent
            if refused is None and (fault.remedy is Remedy.AUTH or broken.fatal):
                refused = BrokerAuthError(
                    f"the server refused the login: {fault.text}; set user and password in the URL"
                )
            if refused is not None:
                self._refuse(address, index, refused)
        self._trouble = Fault(Remedy.WAIT, fault.text)
        for index in indexes:
            self._miss(index)

    def _miss(self, index: int) -> None:
        """Nothing of a request has reached a node. The second time, after a look at the topology, it may go elsewhere."""
        attempt = self._open.get(index)
        if attempt is None or attempt.resent or not self._requests[index].movable:
            return
        attempt.misses += 1
        if attempt.misses > 1:
            self._end(index, NotSent(self._verdict()))

    def _answered(self, address: Address, indexes: list[int], replies: list[Any]) -> None:
        self._topology.heard(address)
        position = 0
        values = []
        for index in indexes:
            position += self._open[index].asking is not None
            values.append(replies[position])
            position += 1
        replicas = self._replicas.heard(address, replies[position:])
        for index, value in zip(indexes, values, strict=True):
            if self._requests[index].durable and not isinstance(value, Exception):
                self._take_durable(address, index, value, replicas)
            else:
                self._take_reply(address, index, value)

    def _refusal(self, address: Address, error: Exception) -> BrokerError | None:
        url = self._topology.url
        return None if url is None else refusal(url, address, error)

    def _take_durable(
        self, address: Address, index: int, reply: Any, replicas: int | Exception | None
    ) -> None:
        if isinstance(replicas, Exception):
            self._take_reply(address, index, replicas)
        elif replicas is None:
            # It is sent again, too: it writes once more, and so the next WAIT on this connection has something to wait for.
            self._open[index].resent = True
            self._open[index].asking = None
            self._trouble = Fault(Remedy.WAIT, "the write is on no replica yet")
            if self._deadline - self._clock() < FIRST_WAIT:
                # There is no time for another WAIT: without its answer the error could not say that a replica is missing.
                self._end(index, BrokerUnavailable(self._verdict()))
        else:
            self._end(index, Confirmed(self._requests[index].parse(reply), replicas))

    def _take_reply(self, address: Address, index: int, reply: Any) -> None:
        if not isinstance(reply, Exception):
            self._end(index, self._requests[index].parse(reply))
            return
        fault = understand(reply)
        attempt = self._open[index]
        attempt.asking = None
        if (
            fault.remedy in (Remedy.AUTH, Remedy.FATAL)
            and (refused := self._refusal(address, reply)) is not None
        ):
            self._refuse(address, index, refused)
            return
        match fault.remedy:
            case Remedy.LOAD:
                attempt.full = True
                if self._requests[index].durable:
                    # The node does not know the script, so perhaps it has just taken over. The script has not run: its WAIT said
                    # nothing.
                    self._calm = False
            case Remedy.MOVED | Remedy.ASK if (url := self._topology.url) and not self._topology.cluster:
                self._refuse(address, index, is_a_cluster(url, address))
            case Remedy.MOVED | Remedy.ASK:
                self._redirect(address, index, attempt, fault)
            case Remedy.AUTH:
                self._end(
                    index, BrokerAuthError(f"{self._requests[index].name}: the server refused: {fault.text}")
                )
            case Remedy.FATAL:
                self._end(index, ScriptError(self._requests[index].name, fault.text))
            case _ if fault.refused and self._requests[index].movable:
                self._topology.doubt(address, self._clock())
                self._trouble = fault
                self._miss(index)
            case _:
                if fault.refused or "READONLY" in fault.text:
                    self._topology.doubt(address, self._clock())
                # A script that failed half-way may have written: what it wrote is found again under the
                # re-send flag.
                attempt.resent = True
                self._trouble = fault

    def _refuse(self, address: Address, index: int, error: BrokerError) -> None:
        """A node will not serve us. Where its slots may have another owner by now, or its address another server, others are
        asked first.
        """
        attempt = self._open[index]
        if attempt.refused or self._requests[index].node is not None or not self._topology.replaceable:
            self._end(index, error)
            return
        attempt.refused = True
        self._topology.doubt(address, self._clock())
        self._trouble = Fault(Remedy.WAIT, str(error))

    def _redirect(self, address: Address, index: int, attempt: _Attempt, fault: Fault) -> None:
        attempt.redirects += 1
        target = fault.address
        if target is not None and not target[0]:
            target = address[0], target[1]  # the host that was asked
        if (
            target is None
            or target == address
            or attempt.redirects > REDIRECTS_AT_ONCE
            or self._requests[index].node is not None
        ):
            # It sends us to itself, or round in a circle: it does not know who owns the slot.
            attempt.redirects = 0
            self._topology.doubt(address, self._clock())
            self._trouble = fault
        elif fault.remedy is Remedy.ASK:
            attempt.asking = target
        else:
            self._topology.moved(fault.slot, target)

    def _end(self, index: int, value: Any) -> None:
        self._results[index] = value
        del self._open[index]

    def _give_up(self) -> None:
        refusal = self._topology.refusal
        for index, attempt in list(self._open.items()):
            known = refusal if not attempt.resent else None
            self._end(index, known or BrokerUnavailable(self._verdict()))

    def _verdict(self) -> str:
        return no_answer(self._topology, self._trouble.text if self._trouble else "no answer")
