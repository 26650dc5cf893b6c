"""What the embedded server is asked to be, and the `embedded://` URL that says so."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from taskflow.errors import InvalidBrokerURL, InvalidOption
from taskflow.project import data_home

#: The bus of a cluster node listens this much above its port.
BUS_OFFSET = 10_000
MIN_CLUSTER = 6
MAX_CLUSTER = 20
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def default_directory() -> Path:
    """Return the data directory of `embedded://`, which names none: `$XDG_DATA_HOME/taskflow/default`.

    It is one for all programs of the user; where no URL is given at all, each project has its own (`taskflow.project`).

    Returns:
        An absolute path, below `~/.local/share` when `XDG_DATA_HOME` is unset or not absolute.

    Raises:
        InvalidOption: there is no home directory either.

    Example:
        >>> default_directory().name
        'default'
    """
    try:
        return data_home() / "taskflow" / "default"
    except RuntimeError:
        raise InvalidOption(
            "the embedded server has no default data directory, since there is no home directory; "
            "name one: embedded:///path/to/directory, or --dir"
        ) from None


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """One embedded server or cluster, as it is asked for.

    The data directory remembers what was created in it. What is None here is taken from there; for a new
    directory it means one server, on free ports.

    Args:
        directory: where the data, the password and the logs are. Made absolute.
        nodes: 1, or an even number from 6 to 20: half masters, half replicas. None: as remembered, else 1.
        port: the first port; a cluster uses `port` to `port + nodes - 1`, and the same plus 10000 for its
            bus. None: as remembered, else free ports (a cluster) or only a unix socket (one server).
        password: whether a new server gets a random password. False is for programs that cannot send one.

    Raises:
        InvalidOption: a number out of range.

    Example:
        >>> EmbeddedConfig(Path("/tmp/shop"), nodes=6, port=7000).nodes
        6
    """

    directory: Path = field(default_factory=default_directory)
    nodes: int | None = None
    port: int | None = None
    password: bool = True

    def __post_init__(self) -> None:
        # Through `object`, since the class is frozen: every later step may rely on an absolute path.
        object.__setattr__(self, "directory", Path(os.path.abspath(Path(self.directory).expanduser())))
        nodes = self.nodes
        if nodes is not None and nodes != 1 and (nodes % 2 or not MIN_CLUSTER <= nodes <= MAX_CLUSTER):
            raise InvalidOption(
                f"{nodes} nodes are not possible; use 1 (one server) or 6 (a cluster: 3 masters, 3 replicas)"
            )
        if self.port is not None:
            check_port(self.port, nodes or 1)


def check_port(port: int, nodes: int) -> None:
    """Raise InvalidOption unless `nodes` consecutive ports from `port` on (and their bus ports) exist."""
    highest = 65_535 if nodes == 1 else 65_535 - BUS_OFFSET - nodes + 1
    if not 1 <= port <= highest:
        why = "" if nodes == 1 else f" for {nodes} nodes: each also listens {BUS_OFFSET} higher"
        raise InvalidOption(f"port {port} is not between 1 and {highest}{why}")


def parse_url(url: str) -> EmbeddedConfig:
    """Read an `embedded://` URL.

    Args:
        url: `embedded://` or `embedded:///absolute/directory`, each with optional
            `?nodes=6&port=7000&password=no`.

    Returns:
        What it asks for; the directory is `default_directory()` when the URL names none.

    Raises:
        InvalidBrokerURL: another scheme, a host, a relative directory, or an argument that is unknown,
            repeated or has a bad value.

    Example:
        >>> parse_url("embedded:///srv/queue?nodes=6").nodes
        6
    """
    parts = _split(url)
    arguments = _arguments(parts)
    directory = unquote(parts.path)
    if "\0" in directory:
        raise InvalidBrokerURL("an embedded:// URL has a NUL byte in its directory")
    try:
        return EmbeddedConfig(
            directory=Path(directory) if directory.strip("/") else default_directory(),
            nodes=_number(arguments, "nodes"),
            port=_number(arguments, "port"),
            password=_flag(arguments, "password", default=True),
        )
    except InvalidOption as error:
        raise InvalidBrokerURL(f"an embedded:// URL cannot be used: {error}") from None


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidBrokerURL(f"an embedded:// URL cannot be read: {error}") from None
    if parts.scheme != "embedded" or not url.lower().startswith("embedded://"):
        # The URL itself is not repeated: what was given instead may hold a password.
        raise InvalidBrokerURL(
            "this is not an embedded:// URL; write embedded:// or embedded:///absolute/directory"
        )
    if parts.netloc:
        raise InvalidBrokerURL(
            "an embedded:// URL has no host, user or password; "
            "the directory is absolute and follows three slashes: embedded:///absolute/directory"
        )
    if parts.fragment:
        raise InvalidBrokerURL("an embedded:// URL has no #fragment; write %23 for a # in the directory")
    return parts


def _arguments(parts: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    known = {"nodes", "port", "password"}
    for name, _ in pairs:
        if name not in known:
            raise InvalidBrokerURL(
                f"an embedded:// URL has no argument {name!r}; it has {', '.join(sorted(known))}"
            )
    arguments = dict(pairs)
    if len(arguments) != len(pairs):
        raise InvalidBrokerURL("an embedded:// URL gives an argument twice")
    return arguments


def _number(arguments: dict[str, str], name: str) -> int | None:
    text = arguments.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidBrokerURL(f"an embedded:// URL says {name}={text!r}, which is not a number")
    return int(text)


def _flag(arguments: dict[str, str], name: str, *, default: bool) -> bool:
    text = arguments.get(name, "yes" if default else "no").lower()
    if text not in _TRUE | _FALSE:
        # Not repeated: somebody may have written the password itself.
        raise InvalidBrokerURL(f"an embedded:// URL says {name}=…, which is neither yes nor no")
    return text in _TRUE
