"""Bring a data directory up, under its lock: create it, repair a half-made one, restart what stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from taskflow.embedded import manifest as manifests
from taskflow.embedded import ports, process
from taskflow.embedded.cluster import discard, readdress
from taskflow.embedded.config import EmbeddedConfig, check_port
from taskflow.embedded.instance import Instance, obtain_password, read_password
from taskflow.embedded.layout import Layout
from taskflow.embedded.manifest import Manifest
from taskflow.embedded.start import start_nodes
from taskflow.errors import EmbeddedServerError, PortInUse

#: How often free ports are chosen anew when somebody took one before the server did.
_PORT_TRIES = 5


def bring_up(layout: Layout, config: EmbeddedConfig) -> Instance:
    """Make everything run and serve; the errors are those of `ensure`."""
    manifest = manifests.load(layout.manifest)
    if manifest is None or not manifest.formed:
        return _create(layout, config, interrupted=manifest)
    manifests.check(config, manifest, layout.root)
    return _restart(layout, config, manifest)


def _create(layout: Layout, config: EmbeddedConfig, interrupted: Manifest | None) -> Instance:
    if interrupted is not None:
        # Whoever created it died half-way, before anybody was told the URL: there is nothing to keep.
        end(layout, interrupted)
        for index in range(interrupted.nodes):
            discard(layout.node(index))
    _require_empty(layout)
    nodes = config.nodes or (interrupted.nodes if interrupted else 1)
    tries = 1 if config.port is not None else _PORT_TRIES
    while True:
        tries -= 1
        try:
            return _create_once(layout, _new_manifest(layout, config, nodes))
        except PortInUse:
            if not tries:
                raise


def _new_manifest(layout: Layout, config: EmbeddedConfig, nodes: int) -> Manifest:
    if config.port is not None:
        check_port(config.port, nodes)
        return Manifest(nodes, ports=tuple(range(config.port, config.port + nodes)), password=config.password)
    if nodes > 1:
        return Manifest(nodes, ports=ports.choose(nodes), password=config.password)
    return Manifest(1, socket=str(layout.socket()), password=config.password)


def _create_once(layout: Layout, manifest: Manifest) -> Instance:
    # The password first: whoever finds a manifest finds its password too.
    instance = Instance(layout, manifest, obtain_password(layout, manifest))
    manifest.save(layout.manifest)
    try:
        start_nodes(instance, instance.nodes, fresh=True)
    except BaseException:
        # As if it had never been asked for: the next try may want other nodes or ports.
        for index in range(manifest.nodes):
            discard(layout.node(index))
        layout.manifest.unlink()
        raise
    manifest.after_start().save(layout.manifest)
    return instance


def _restart(layout: Layout, config: EmbeddedConfig, manifest: Manifest) -> Instance:
    files = [layout.node(index) for index in range(manifest.nodes)]
    if manifest.socket is not None and not (Path(manifest.socket).exists() and manifest.is_reachable()):
        # The socket of a living server can vanish with the session that made it, and somebody else make a directory in
        # its place. The data is in its files.
        process.terminate(files)
    stopped = [node for node in files if process.find(node) is None]
    if len(stopped) == len(files):
        manifest = _moved(layout, config, manifest)
        instance = Instance(layout, manifest, obtain_password(layout, manifest))
    else:
        _require_same_port(config, manifest)
        instance = Instance(layout, manifest, read_password(layout, manifest))
    start_nodes(instance, stopped, fresh=False)
    return instance


def _moved(layout: Layout, config: EmbeddedConfig, manifest: Manifest) -> Manifest:
    """Return where stopped servers are to listen now, and remember it."""
    before = manifest
    if config.port is not None:
        check_port(config.port, manifest.nodes)
        numbers = tuple(range(config.port, config.port + manifest.nodes))
        ports.require_free(numbers, cluster=manifest.is_cluster)  # before it is remembered
        manifest = replace(manifest, ports=numbers, socket=None)
    elif manifest.socket is not None:
        manifest = replace(manifest, socket=str(layout.socket()))  # the runtime directory may be another now
    if manifest != before:
        manifest.save(layout.manifest)
    if manifest.is_cluster:
        readdress([layout.node(index) for index in range(manifest.nodes)], manifest.ports)
    return manifest


def end(layout: Layout, manifest: Manifest) -> int:
    """End what runs, remove the socket, and return how many processes there were."""
    ended = process.terminate([layout.node(index) for index in range(manifest.nodes)])
    if manifest.socket is not None:
        Path(manifest.socket).unlink(missing_ok=True)
    return ended


def _require_same_port(config: EmbeddedConfig, manifest: Manifest) -> None:
    if config.port is not None and config.port not in manifest.ports[:1]:
        where = f"on port {manifest.ports[0]}" if manifest.ports else "on a unix socket"
        raise EmbeddedServerError(
            f"the server of {config.directory} already runs {where}; "
            "`taskflow server stop` first, or leave --port out"
        )


def _require_empty(layout: Layout) -> None:
    if layout.node(0).folder.exists() and any(
        path.name != "alive.lock" for path in layout.node(0).folder.iterdir()
    ):
        raise EmbeddedServerError(
            f"{layout.node(0).folder} holds data, but {layout.manifest} is missing; "
            "put that file back, or name another directory"
        )
