"""Find, start and stop the servers of a data directory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from taskflow.embedded import manifest as manifests
from taskflow.embedded import process, topology
from taskflow.embedded.bringup import bring_up, end
from taskflow.embedded.config import EmbeddedConfig, default_directory
from taskflow.embedded.instance import Instance, probe_all, read_password
from taskflow.embedded.layout import Layout
from taskflow.embedded.locking import exclusive
from taskflow.errors import EmbeddedServerError, TaskFlowError
from taskflow.private_files import PrivateDirectory
from taskflow.project import is_of_a_project

logger = logging.getLogger("taskflow.embedded")

#: Seconds to wait for another process that is starting or stopping the same servers.
_LOCK_TIMEOUT = 120.0


def ensure(config: EmbeddedConfig) -> str:
    """Find the servers of a data directory, or start them, and return their URL once they serve.

    Nodes that were killed are started again. Processes that call this at once get the same servers.
    The servers are detached: they live until `stop`.

    Args:
        config: which directory, and what to create when it is new.

    Returns:
        The broker URL, with the password: `unix://…`, `redis://…` or `redis+cluster://…`.

    Raises:
        PortInUse: a port belongs to somebody else; nothing of what was started is left.
        ServerBinaryNotFound: there is no server program.
        EmbeddedServerError: a server did not start (the end of its log is in the message), or the directory
            holds something else than what is asked for, or cannot be used.
        NotPrivate: the directory, its files or the directory of the socket belong to somebody else, or others may
            write to them.

    Example:
        >>> ensure(EmbeddedConfig(Path("/tmp/shop"), nodes=6))   # doctest: +SKIP
        'redis+cluster://:…@127.0.0.1:14210,127.0.0.1:14211,…'
    """
    layout = Layout.of(config.directory)
    with layout.reported():
        ready = _find_ready(layout, config)
        if ready is not None:
            return ready.url
        is_new = manifests.load(layout.manifest) is None
        PrivateDirectory(layout.root, tighten=False).close()  # made, if it is not there
        with _locked(layout):
            found = bring_up(layout, config).url
    if is_new:
        _tell_of_the_shared_one(config)
    return found


def stop(config: EmbeddedConfig) -> int:
    """Stop the servers of a data directory; its data stays.

    They are asked to end (SIGTERM), and killed when they have not after 10 s. A process counts as one of them
    only if its command line names the directory.

    Returns:
        The number of processes that were ended; 0 when none ran.

    Raises:
        EmbeddedServerError: a process cannot be ended.

    Example:
        >>> stop(EmbeddedConfig(Path("/tmp/shop")))   # doctest: +SKIP
        6
    """
    layout = Layout.of(config.directory)
    with layout.reported():
        if manifests.load(layout.manifest) is None:
            return 0
        with _locked(layout):
            manifest = manifests.load(layout.manifest)
            return end(layout, manifest) if manifest is not None else 0


def url(config: EmbeddedConfig) -> str:
    """Return the URL of the servers of a data directory, with the password.

    Returns:
        The broker URL, as `ensure` does; nothing is started.

    Raises:
        EmbeddedServerError: none of them runs.

    Example:
        >>> url(EmbeddedConfig(Path("/tmp/shop")))   # doctest: +SKIP
        'unix://:…@/run/user/1000/taskflow/….sock?db=0'
    """
    layout = Layout.of(config.directory)
    with layout.reported():
        found = _load(layout)
        if found is None or all(process.find(node) is None for node in found.nodes):
            raise EmbeddedServerError(
                f"no server runs for {config.directory}; `taskflow server start` starts one"
            )
        manifests.check(config, found.manifest, layout.root)
        return found.url


def _tell_of_the_shared_one(config: EmbeddedConfig) -> None:
    """Say once for each project, when its own server is made, where what was enqueued before it had one is."""
    try:
        shared = default_directory()
        if is_of_a_project(config.directory) and manifests.load(Layout.of(shared).manifest) is not None:
            logger.warning(
                "This project has a development server of its own now, in %s. Tasks from before are in the one that all projects "
                'shared, in %s: broker="embedded://" or TASKFLOW_BROKER=embedded:// uses that',
                config.directory,
                shared,
            )
    except (RuntimeError, TaskFlowError):
        return  # there is no home, or what lies there is no server: nothing to tell


def _find_ready(layout: Layout, config: EmbeddedConfig) -> Instance | None:
    """Return the instance if it serves as it is: the everyday case, which takes no lock."""
    manifest = manifests.load(layout.manifest)
    if manifest is None or not manifest.formed or not manifest.is_reachable():
        return None
    manifests.check(config, manifest, layout.root)
    moves = config.port is not None and config.port not in manifest.ports[:1]
    if moves or (manifest.password and not layout.password.exists()):
        return None
    instance = Instance(layout, manifest, read_password(layout, manifest))
    return instance if topology.missing(probe_all(instance)) is None else None


def _load(layout: Layout) -> Instance | None:
    manifest = manifests.load(layout.manifest)
    if manifest is None or not manifest.formed or not manifest.is_reachable():
        return None
    return Instance(layout, manifest, read_password(layout, manifest))


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    with exclusive(layout.lock, _LOCK_TIMEOUT) as is_ours:
        if not is_ours:
            raise EmbeddedServerError(
                f"another process has been starting or stopping {layout.root} for {_LOCK_TIMEOUT:.0f} s; "
                f"find it with `fuser {layout.lock}`"
            )
        yield
