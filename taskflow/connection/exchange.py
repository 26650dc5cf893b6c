"""How requests become replies, whatever happens in between: one generator, no I/O.

The generator yields what is to be done (`Trips`, `Refresh`, `Pause`) and is sent what came of it. The
synchronous and the asyncio driver carry the steps out; everything that decides is here, once.

A request that may have run although no reply came is sent again with its re-send flag set: its script then
takes "already done" for success (design, section 3, rule 4).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from typing import Any

from ..errors import BrokerAuthError, BrokerError, BrokerUnavailable, ScriptError
from .confirming import FIRST_WAIT, confirmation, replicas_said
from .faults import Fault, Remedy, is_timeout, understand
from .refusals import is_a_cluster, refusal
from .steps import Answer, Broken, Confirmed, NotSent, Pause, Refresh, Request, Step, Trip, Trips, Wire
from .topology import Address, Topology

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
REDIRECTS_AT_ONCE = 5


class _Attempt:
    __slots__ = ("asking", "full", "misses", "redirects", "resent")

    def __init__(self) -> None:
        self.misses = 0
        self.full = False
        self.resent = False
        self.asking: Address | None = None
        self.redirects = 0


class Exchange:
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
        self._unconfirmed = 0

    def run(self, first: tuple[Address, Answer] | None = None) -> Generator[Step, Any, list[Any]]:
        """Yield steps until every request has a value or a `BrokerError`; return them in the order of the
        requests.

        Args:
            first: the answer to the `lone` trip of a lone request, if it has been made already, and by whom it was given.
        """
        pause = FIRST_PAUSE
        while self._open:
            generation = self._topology.generation
            if first is None:
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
            yield Pause(wait)
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
            self._topology.silent[address] = self._clock()
            if is_timeout(answer.error) and answer.sent and not answer.replies:
                self._topology.suspect(address, self._clock())
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
        wires: list[Wire] = []
        for index in indexes:
            attempt = self._open[index]
            if attempt.asking is not None:
                wires.append(("ASKING",))
            wires.append(self._requests[index].wire(full=attempt.full, resent=attempt.resent))
        if any(self._requests[index].durable for index in indexes):
            wires += self._confirmation(address)
        return Trip(address, wires, any(self._requests[index].movable for index in indexes))

    def _confirmation(self, address: Address) -> list[Wire]:
        alone = address in self._topology.alone
        hasty = self._unconfirmed < 2 or self._topology.is_suspected(address, self._clock())
        return confirmation(alone, hasty, self._calm, self._deadline - self._clock())

    def _unanswered(self, address: Address, indexes: list[int], replies: Sequence[Any]) -> list[int]:
        """Take what came before the break: a pipeline of hundreds must not begin anew each time.

        What is durable has nobody to confirm it.
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
        # What is said before a connection is closed holds for all that was sent down it.
        last = broken.replies[-1] if broken.replies else None
        refused = self._refusal(address, last if isinstance(last, Exception) else broken.error)
        for index in indexes:
            attempt = self._open[index]
            attempt.asking = None
            attempt.resent = attempt.resent or broken.sent
            if refused is not None:
                self._settle(index, refused)
            elif fault.remedy is Remedy.AUTH or broken.fatal:
                self._settle(
                    index,
                    BrokerAuthError(
                        f"the server refused the login: {fault.text}; set user and password in the URL"
                    ),
                )
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
            self._settle(index, NotSent(self._verdict()))

    def _answered(self, address: Address, indexes: list[int], replies: list[Any]) -> None:
        self._topology.heard(address)
        position = 0
        values = []
        for index in indexes:
            position += self._open[index].asking is not None
            values.append(replies[position])
            position += 1
        replicas = self._replicas(address, replies[position:])
        for index, value in zip(indexes, values, strict=True):
            if self._requests[index].durable and not isinstance(value, Exception):
                self._settle_durable(address, index, value, replicas)
            else:
                self._settle_reply(address, index, value)

    def _refusal(self, address: Address, error: Exception) -> BrokerError | None:
        """The error for a server that will not serve us whatever we try, where it is one."""
        url = self._topology.url
        return None if url is None else refusal(url, address, error)

    def _replicas(self, address: Address, replies: Sequence[Any]) -> int | Exception | None:
        """How many replicas have what was written, as `replicas_said`; what it says of the node is remembered."""
        replicas = replicas_said(replies)
        if replicas is None:
            self._unconfirmed += 1
        if replies and replicas == 0:
            self._topology.alone.add(address)
        elif replies:
            self._topology.alone.discard(address)
        return replicas

    def _settle_durable(
        self, address: Address, index: int, reply: Any, replicas: int | Exception | None
    ) -> None:
        if isinstance(replicas, Exception):
            self._settle_reply(address, index, replicas)
        elif replicas is None:
            # Sent again, it writes again, and so the next WAIT has something to wait for.
            self._open[index].resent = True
            self._open[index].asking = None
            self._trouble = Fault(Remedy.WAIT, "the write is on no replica yet")
            if self._deadline - self._clock() < FIRST_WAIT:
                # Another WAIT could not answer in time, and its silence would hide what is missing.
                self._settle(index, BrokerUnavailable(self._verdict()))
        else:
            self._settle(index, Confirmed(self._requests[index].read(reply), replicas))

    def _settle_reply(self, address: Address, index: int, reply: Any) -> None:
        if not isinstance(reply, Exception):
            self._settle(index, self._requests[index].read(reply))
            return
        fault = understand(reply)
        attempt = self._open[index]
        attempt.asking = None
        if (
            fault.remedy in (Remedy.AUTH, Remedy.FATAL)
            and (refused := self._refusal(address, reply)) is not None
        ):
            self._settle(index, refused)
            return
        match fault.remedy:
            case Remedy.LOAD:
                attempt.full = True
            case Remedy.MOVED | Remedy.ASK if self._is_one_server():
                assert self._topology.url is not None
                self._settle(index, is_a_cluster(self._topology.url, address))
            case Remedy.MOVED | Remedy.ASK:
                self._redirect(index, attempt, fault)
            case Remedy.AUTH:
                self._settle(
                    index, BrokerAuthError(f"{self._requests[index].name}: the server refused: {fault.text}")
                )
            case Remedy.FATAL:
                self._settle(index, ScriptError(self._requests[index].name, fault.text))
            case _ if fault.refused and self._requests[index].movable:
                self._trouble = fault
                self._miss(index)
            case _:
                # A script that failed half-way may have written: what it wrote is found again under the
                # re-send flag.
                attempt.resent = True
                self._trouble = fault

    def _is_one_server(self) -> bool:
        """Whether the URL is that of one server, which sends nobody anywhere else."""
        return not self._topology.cluster and self._topology.url is not None

    def _redirect(self, index: int, attempt: _Attempt, fault: Fault) -> None:
        attempt.redirects += 1
        if (
            fault.address is None
            or attempt.redirects > REDIRECTS_AT_ONCE
            or self._requests[index].node is not None
        ):
            attempt.redirects = 0
            self._trouble = fault
        elif fault.remedy is Remedy.ASK:
            attempt.asking = self._reachable(fault.address)
        else:
            self._topology.moved(fault.slot, self._reachable(fault.address))

    def _reachable(self, address: Address) -> Address:
        """A redirection with an empty host means the host that was asked."""
        host = address[0] or next(self._topology.candidates())[0]
        return host, address[1]

    def _settle(self, index: int, value: Any) -> None:
        self._results[index] = value
        del self._open[index]

    def _give_up(self) -> None:
        for index in list(self._open):
            self._settle(index, BrokerUnavailable(self._verdict()))

    def _verdict(self) -> str:
        detail = self._trouble.text if self._trouble else "no answer"
        seeds = ", ".join(f"{host}:{port}" if port else host for host, port in self._topology.seeds)
        hint = "is the server running, and is the URL right?"
        return f"no answer from the broker ({seeds}) in time: {detail}; {hint}"
