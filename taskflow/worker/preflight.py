"""What a worker looks at before it takes its first task: whether the servers are fit to keep tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..broker.aio import AsyncBroker
from ..broker.command import Plain
from ..broker.server_checks import TOO_OLD, defects, parse_info
from ..connection.refusals import is_a_cluster, is_a_sentinel
from ..connection.topology import Address, parse_slots
from ..connection.url import BrokerURL
from ..errors import BrokerError, ServerTooOld

logger = logging.getLogger("taskflow.worker")

_SECONDS = 2.0


async def check_servers(broker: AsyncBroker) -> None:
    """Ask every master what it is, and warn once of each thing that is wrong.

    A node that does not answer, or may not be asked (`INFO` refused), is no reason not to start.

    Raises:
        ServerTooOld: a server cannot run the scripts.
        BrokerMismatch: the URL is that of one server, and this is a node of a cluster, which refuses the queues of the others;
            or it is a Sentinel.
    """
    topology = await broker.driver.open()
    masters = topology.masters()
    replies = await broker.run_many([Plain(("INFO",), parse_info, node=one) for one in masters], _SECONDS)
    warnings: dict[tuple[str, str], list[str]] = {}
    for (host, port), info in zip(masters, replies, strict=True):
        where = f"{host}:{port}" if port else host
        if isinstance(info, BrokerError):
            logger.debug("Server %s could not be asked what it is: %s", where, info)
            continue
        if topology.url is not None and not topology.cluster:
            await _check_kind(broker, topology.url, (host, port), info)
        for text in _warnings(info, where):
            warnings.setdefault(text, []).append(where)
    for (what, remedy), nodes in warnings.items():
        logger.warning("Server %s: %s; %s", ", ".join(nodes), what, remedy)


async def _check_kind(broker: AsyncBroker, url: BrokerURL, address: Address, info: Mapping[str, str]) -> None:
    if info.get("redis_mode") == "sentinel":
        raise is_a_sentinel(url)
    if info.get("cluster_enabled") != "1":
        return
    # A cluster of one node serves every queue: it can be used by either URL.
    (ranges,) = await broker.run_many([Plain(("CLUSTER", "SLOTS"), _same, node=address)], _SECONDS)
    if not isinstance(ranges, BrokerError) and len({one[2] for one in parse_slots(ranges, address)}) > 1:
        raise is_a_cluster(url, address)


def _same(reply: Any) -> Any:
    return reply


def _warnings(info: Mapping[str, str], where: str) -> list[tuple[str, str]]:
    """What is wrong, each with its remedy; the same on several nodes is the same text."""
    found = list(defects(info))
    for defect in found:
        if defect.code == TOO_OLD:
            raise ServerTooOld(f"the server at {where} is too old: {defect.what}; {defect.remedy}")
    return [(one.what, one.remedy) for one in found if one.grave]
