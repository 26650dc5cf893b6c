"""How many file descriptors a worker needs, and whether it may have them."""

from __future__ import annotations

import logging
import resource

from ..errors import ConfigurationError
from .taking.places import MOST

logger = logging.getLogger("taskflow.worker")

BASE = 40
"""What Python, the log, signals, the health port and loops that are alone of their kind take, with room to spare."""

PER_CHILD = 4

PER_NODE = 48
"""Connections to one node at most, besides the waiting ones: two gates of `narrow.AT_ONCE`, and pipelines ..."""

PER_QUEUE = 6
"""... and no more than the loops of so many queues can use."""

LEAST_WAITING = 4


def places(queues: int, nodes: int, children: int) -> int:
    """How many waiting connections this process can have. The soft limit on open files is raised where that gives more.

    Args:
        queues: how many queues it serves.
        nodes: how many masters the broker has.
        children: how many child processes there are.

    Raises:
        ConfigurationError: the limit on open files is too low to work at all.
    """
    wanted = min(queues, MOST)
    # Doubled: for a while a child and its replacement run side by side, and so do the old and the new master in a fail-over.
    per_node = min(PER_NODE, 8 + PER_QUEUE * queues)
    fixed = BASE + 2 * PER_CHILD * children + per_node * (min(nodes, queues) + 1)
    limit = _raised(fixed + wanted)
    if limit - fixed >= wanted:
        return min(limit - fixed, MOST)  # partitions may be found later
    if limit - fixed < min(wanted, LEAST_WAITING):
        raise ConfigurationError(
            f"serving {queues} queues on {nodes} nodes with {children} child processes needs {fixed + wanted} open files, "
            f"at least {fixed + min(wanted, LEAST_WAITING)}, and the limit is {limit}: raise it (ulimit -n, LimitNOFILE=)"
        )
    logger.warning(
        "The limit of %d open files leaves room for %d waiting connections: the other queues are asked once a second; with %d "
        "open files %d of them would wait",
        limit,
        limit - fixed,
        fixed + wanted,
        wanted,
    )
    return limit - fixed


def _raised(needed: int) -> int:
    """The limit on open files, after it was raised if less than what is needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return needed
    if soft >= needed:
        return soft
    # Not higher than needed: children inherit the limit, and `select` in the user's code fails on a descriptor above 1023.
    target = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    except (OSError, ValueError):
        return soft
    return max(soft, target)
