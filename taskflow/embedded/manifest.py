"""What a data directory remembers: how many nodes, on which ports, with a password or not."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from taskflow.embedded.config import EmbeddedConfig
from taskflow.embedded.layout import read_private, write_private
from taskflow.errors import EmbeddedServerError, NotPrivate
from taskflow.private_files import PrivateDirectory

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """The shape of what was created in a data directory.

    Args:
        nodes: 1, or the size of the cluster.
        ports: one per node; empty for one server that listens on a unix socket only.
        socket: that unix socket, else None.
        password: whether the servers ask for the password of the `password` file.
        formed: False until the first start has succeeded. Until then no URL has been given to anybody, so
            that what an interrupted creation left can be thrown away.
    """

    nodes: int
    ports: tuple[int, ...] = ()
    socket: str | None = None
    password: bool = True
    formed: bool = False

    @property
    def is_cluster(self) -> bool:
        """Whether this is a cluster."""
        return self.nodes > 1

    def is_reachable(self) -> bool:
        """Whether the socket, if there is one, is in a directory of ours: in another anybody could answer in its place."""
        if self.socket is None:
            return True
        directory = Path(self.socket).parent
        if not directory.is_dir():
            return False
        try:
            PrivateDirectory(directory, tighten=False).close()
        except NotPrivate:
            return False
        return True

    def save(self, path: Path) -> None:
        """Write the manifest, as a whole or not at all."""
        write_private(path, json.dumps({"version": _VERSION, **asdict(self)}, indent=1) + "\n")

    def after_start(self) -> Manifest:
        """Return the manifest of a server that has been ready once."""
        return replace(self, formed=True)


def load(path: Path) -> Manifest | None:
    """Read the manifest of a data directory.

    Returns:
        None when nothing was created there.

    Raises:
        EmbeddedServerError: the file cannot be understood.
        NotPrivate: somebody else may have written it.
    """
    try:
        text = read_private(path)
        return None if text is None else _parse(json.loads(text))
    except (ValueError, KeyError, TypeError):
        raise EmbeddedServerError(
            f"{path} cannot be understood, so it is not known what runs there; "
            "it was damaged, or written by another version of taskflow"
        ) from None


def check(config: EmbeddedConfig, manifest: Manifest, directory: Path) -> None:
    """Raise EmbeddedServerError when a directory holds something else than what is asked for."""
    if config.nodes is not None and config.nodes != manifest.nodes:
        raise EmbeddedServerError(
            f"{directory} holds {_words(manifest.nodes)}, not {_words(config.nodes)}; "
            "name another directory, or remove this one after `taskflow server stop`"
        )
    if manifest.password and not config.password:
        raise EmbeddedServerError(
            f"{directory} was created with a password; leave --no-password out, or name another directory"
        )


def _parse(fields: dict[str, Any]) -> Manifest:
    if fields["version"] != _VERSION:
        raise ValueError("another version")
    manifest = Manifest(
        nodes=int(fields["nodes"]),
        ports=tuple(int(port) for port in fields["ports"]),
        socket=fields["socket"],
        password=bool(fields["password"]),
        formed=bool(fields["formed"]),
    )
    listens = len(manifest.ports) == manifest.nodes or (manifest.nodes == 1 and bool(manifest.socket))
    if not listens:
        raise ValueError("no ports")
    return manifest


def _words(nodes: int) -> str:
    return "one server" if nodes == 1 else f"a cluster of {nodes} nodes"
