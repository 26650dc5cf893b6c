"""The configuration file of one node (pure)."""

from __future__ import annotations

from taskflow.embedded.layout import NodeFiles
from taskflow.embedded.manifest import Manifest
from taskflow.embedded.ports import HOST

#: Milliseconds of silence after which a node is called dead; a replica takes over a second or two later.
NODE_TIMEOUT = 5_000

_COMMON = f"""\
bind {HOST}
protected-mode yes
enable-debug-command no
enable-module-command no
enable-protected-configs no
daemonize yes
# The command line stays as it was, so that the process can be recognised by the path of this file.
set-proc-title no
always-show-logo no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
shutdown-timeout 3
"""

_CLUSTER = f"""\
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout {NODE_TIMEOUT}
cluster-announce-ip {HOST}
# Slots without a living node stop their own queues, not those of the other nodes.
cluster-require-full-coverage no
# The default makes a replica wait 5 s for other replicas before its first copy.
repl-diskless-sync-delay 0
"""


def render(manifest: Manifest, files: NodeFiles, password: str | None) -> str:
    """Return the text of `server.conf`. It holds the password, so the file is for its owner only."""
    lines = [_COMMON]
    for name, path in (("dir", files.folder), ("logfile", files.log), ("pidfile", files.pid)):
        lines.append(f"{name} {quote(str(path))}\n")
    if manifest.ports:
        lines.append(f"port {manifest.ports[files.index]}\n")
    else:
        lines.append(f"port 0\nunixsocket {quote(manifest.socket or '')}\nunixsocketperm 700\n")
    if manifest.is_cluster:
        lines.append(_CLUSTER)
    if password is not None:
        lines.append(f"requirepass {quote(password)}\nmasterauth {quote(password)}\n")
    return "".join(lines)


def quote(text: str) -> str:
    """Return a word of the configuration file for any text.

    Example:
        >>> quote('a "b"')
        '"a \\\\"b\\\\""'
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'
