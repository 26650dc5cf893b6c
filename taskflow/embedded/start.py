"""Bring nodes up: start them together, wait until they serve, and undo it when that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from taskflow.embedded import ports, process, serverconf, topology
from taskflow.embedded.binary import find_binary
from taskflow.embedded.cluster import calm_down, form
from taskflow.embedded.instance import Instance, probe
from taskflow.embedded.layout import NodeFiles, write_private
from taskflow.embedded.topology import Probe
from taskflow.errors import EmbeddedServerError
from taskflow.private_files import PrivateDirectory

_POLL = 0.05
#: Seconds until all must serve, loading data not counted. When a master was called dead and no replica could
#: take over, the others call it dead for up to twice the node timeout after its return.
_READY_TIMEOUT = 60.0


def start_nodes(instance: Instance, nodes: Sequence[NodeFiles], *, fresh: bool) -> None:
    """Start the servers of `nodes` and wait until the whole instance serves.

    Args:
        instance: all nodes, including those that run already.
        nodes: those that are not running.
        fresh: whether they are new, so that a cluster is to be formed of them.

    Raises:
        PortInUse: a port belongs to somebody else.
        ServerBinaryNotFound: there is no server program.
        EmbeddedServerError: a server ended, or is not ready in time. What was started is stopped again.
    """
    for node in nodes:
        process.wait_released(node)
    _require_ports(instance, nodes)
    with _undone_on_failure(nodes):
        log_starts = _launch(instance, nodes)
        _wait(instance, log_starts, lambda probes: _not_started(probes, nodes))
        if fresh:
            _make_ready(instance, log_starts)
    # What was only restarted stays, even if the rest is not ready in time: to start again goes on from there.
    _wait(instance, log_starts, topology.missing)


def _make_ready(instance: Instance, log_starts: Mapping[NodeFiles, int]) -> None:
    if instance.manifest.is_cluster:
        form(instance)
        _wait(instance, log_starts, topology.missing)
        calm_down(instance)


def _not_started(probes: Sequence[Probe], nodes: Sequence[NodeFiles]) -> str | None:
    indexes = {node.index for node in nodes}
    return topology.not_answering([probe for probe in probes if probe.index in indexes])


def _require_ports(instance: Instance, nodes: Sequence[NodeFiles]) -> None:
    manifest = instance.manifest
    if manifest.ports:
        ports.require_free((manifest.ports[node.index] for node in nodes), cluster=manifest.is_cluster)


def _launch(instance: Instance, nodes: Sequence[NodeFiles]) -> dict[NodeFiles, int]:
    binary = find_binary()
    log_starts = {}
    for node in nodes:
        PrivateDirectory(node.folder, tighten=False).close()  # made, if it is not there
        write_private(node.conf, serverconf.render(instance.manifest, node, instance.password))
        log_starts[node] = process.launch(binary, node)
    return log_starts


def _wait(
    instance: Instance, log_starts: Mapping[NodeFiles, int], lack_of: Callable[[Sequence[Probe]], str | None]
) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT
    with instance.clients() as clients:
        while True:
            probes = [
                probe(instance, node, client) for node, client in zip(instance.nodes, clients, strict=True)
            ]
            lack = lack_of(probes)
            if lack is None:
                return
            _raise_if_ended(instance, log_starts)
            if any(one.answer == "loading" for one in probes):
                deadline = time.monotonic() + _READY_TIMEOUT
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"{instance.layout.root} is not ready after {_READY_TIMEOUT:.0f} s: {lack}; "
                    f"the logs are node-*/{instance.nodes[0].log.name} there"
                )
            time.sleep(_POLL)


def _raise_if_ended(instance: Instance, log_starts: Mapping[NodeFiles, int]) -> None:
    for node, log_start in log_starts.items():
        if not process.is_starting_or_alive(node):
            # Somebody may have taken the port between our look and the server's.
            _require_ports(instance, [node])
            raise EmbeddedServerError(
                f"server {node.index} ended while starting{process.tail(node, log_start)}"
            )


@contextmanager
def _undone_on_failure(nodes: Sequence[NodeFiles]) -> Iterator[None]:
    try:
        yield
    except BaseException:  # also Ctrl-C: nobody would know about half a cluster
        process.terminate(nodes)
        raise
