"""What a worker looks at before it takes its first task: whether the servers are fit to keep tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ..broker.aio import AsyncBroker
from ..broker.command import Plain
from ..broker.fitness import TOO_OLD, defects, parse_info
from ..errors import BrokerError, ServerTooOld

logger = logging.getLogger("taskflow.worker")

_SECONDS = 2.0


async def check_servers(broker: AsyncBroker) -> None:
    """Ask every master what it is, and warn once of each thing that is wrong.

    A node that does not answer, or may not be asked (`INFO` refused), is no reason not to start.

    Raises:
        ServerTooOld: a server cannot run the scripts.
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
        for text in _warnings(info, where):
            warnings.setdefault(text, []).append(where)
    for (what, remedy), nodes in warnings.items():
        logger.warning("Server %s: %s; %s", ", ".join(nodes), what, remedy)


def _warnings(info: Mapping[str, str], where: str) -> list[tuple[str, str]]:
    """What is wrong, each with its remedy; the same on several nodes is the same text."""
    found = list(defects(info))
    for defect in found:
        if defect.code == TOO_OLD:
            raise ServerTooOld(f"the server at {where} is too old: {defect.what}; {defect.remedy}")
    return [(one.what, one.remedy) for one in found if one.grave]
