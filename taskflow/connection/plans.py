"""What both drivers do for their callers, without I/O: each yields steps, and is sent what came of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from ..errors import BrokerUnavailable
from .refusals import refusal
from .retry_plan import RetryPlan
from .steps import Answer, Broken, Open, Refresh, Request, Step
from .topology import Address, Topology
from .url import BrokerURL

Clock = Callable[[], float]


def executing(
    requests: Sequence[Request],
    topology: Topology,
    deadline: float,
    clock: Clock,
    first: tuple[Address, Answer] | None,
) -> Generator[Step, Any, list[Any]]:
    """Get a value or a `BrokerError` for each request; `first` as for `RetryPlan.run`."""
    if not topology.known:
        yield Refresh(topology.generation, doubt=False)
    return (yield from RetryPlan(requests, topology, deadline, clock).run(first))


def connecting(
    topology: Topology, url: BrokerURL, slot: int | None, deadline: float, clock: Clock
) -> Generator[Step, Any, Any]:
    """Get a connection to the owner of `slot`, for blocking and subscribing.

    Raises:
        BrokerUnavailable: there is none in time.
        BrokerError: the node refuses us.
    """
    address = topology.owner(slot)
    if address is None or topology.may_have_changed((slot,), clock()):
        yield Refresh(topology.generation, doubt=topology.known)
        address = topology.owner(slot)
    if address is None:
        raise BrokerUnavailable(f"no node of {url} is known to own key slot {slot}")
    now = clock()
    opened = yield Open(address, topology.open_deadline(address, deadline, now))
    if not isinstance(opened, Broken):
        topology.heard(address)
        return opened
    error = opened.error
    topology.missed(address, now)
    yield Refresh(topology.generation)
    if topology.owner(slot) == address and (said := refusal(url, address, error)) is not None:
        raise said from error
    raise BrokerUnavailable(f"{url}: {error}") from error
