"""How a connection to a node is made: the same arguments for the synchronous and the asyncio client of
redis-py.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import hiredis

from ..errors import InvalidBrokerURL
from .topology import Address, Topology
from .url import BrokerURL, parse
from .url_options import is_yes

SOCKET_TIMEOUT = 5.0
"""Seconds that a node may take for one reply. A blocking command waits less than half of it."""

CONNECT_TIMEOUT = 3.0

IDLE_CONNECTIONS = 32
"""How many unused connections to one node are kept."""

IDLE_SECONDS = 10.0
"""A connection that was unused for so many seconds is closed when another is given back, so that those of a burst are not kept
for ever (asyncio only).
"""


def resolve(url: str | BrokerURL) -> BrokerURL:
    """The URL to connect to.

    An `embedded://` URL starts its server, if it does not run yet, and becomes its address.

    Raises:
        InvalidBrokerURL: a file of TLS that the URL names cannot be used.
    """
    parsed = parse(url) if isinstance(url, str) else url
    if parsed.tls:
        _check_files(parsed)
    if parsed.kind != "embedded":
        return parsed
    # Imported here, for start-up: only an embedded broker needs it.
    from .. import embedded

    return parse(embedded.ensure(embedded.parse_url(parsed.source)))


def _check_files(url: BrokerURL) -> None:
    """Load the files of TLS once, before anything is connected: a path that is wrong would look like a server that is away."""
    # Only TLS needs it.
    import ssl

    authorities, certificate = url.options.get("ssl_ca_certs"), url.options.get("ssl_certfile")
    key = url.options.get("ssl_keyfile")
    for name, path in (("ssl_ca_certs", authorities), ("ssl_certfile", certificate), ("ssl_keyfile", key)):
        if path is not None:
            try:
                open(path, "rb").close()
            except OSError as error:
                raise InvalidBrokerURL(
                    f"{url}: the file {path!r} of {name} cannot be read: {error.strerror or error}"
                ) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if authorities is not None:
            context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise InvalidBrokerURL(
            f"{url}: the file {authorities!r} of ssl_ca_certs has no certificates in PEM form"
        ) from error
    try:
        if certificate is not None:
            # Otherwise OpenSSL would ask for the password of a key on the terminal, and a process without one would wait for
            # ever.
            context.load_cert_chain(certificate, key, password=b"")
    except (ssl.SSLError, ValueError) as error:
        raise InvalidBrokerURL(
            f"{url}: ssl_certfile and ssl_keyfile cannot be used: they are not a certificate and its key in PEM form, "
            "or the key has a password"
        ) from error


_contexts: dict[tuple[tuple[str, str], ...], tuple[list[int], Any]] = {}


def tls_context(url: BrokerURL) -> Any:
    """The `ssl.SSLContext` for the connections of a URL.

    One for all of them: to make one takes up to a tenth of a second, for the system's authorities, and an event loop stands still
    meanwhile. Files that have been renewed are read again; while they cannot be, what was read before is good enough.
    """
    options = tuple(sorted(url.options.items()))
    known = _contexts.get(options)
    names = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
    try:
        changed = [os.stat(url.options[name]).st_mtime_ns for name in names if name in url.options]
        if known is None or known[0] != changed:
            known = _contexts[options] = changed, _made_context(url)
    except OSError:
        if known is None:
            raise
    return known[1]


def _made_context(url: BrokerURL) -> Any:
    # Only TLS needs it.
    import ssl

    options = url.options
    context = ssl.create_default_context()
    required = options.get("ssl_cert_reqs", "required").lower()
    context.check_hostname = required != "none" and is_yes(options.get("ssl_check_hostname", "yes"))
    context.verify_mode = ssl.VerifyMode[f"CERT_{required.upper()}"]
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    if "ssl_ca_certs" in options:
        context.load_verify_locations(options["ssl_ca_certs"])
    return context


def topology_of(url: BrokerURL) -> Topology:
    """What the URL alone says about who owns the slots."""
    seeds = [(url.path, 0)] if url.kind == "unix" else list(url.hosts)
    topology = Topology(seeds, cluster=url.kind == "cluster", url=url)
    topology.replaceable = url.kind in ("cluster", "sentinel")
    if url.kind in ("single", "unix"):
        topology.set_single(seeds[0])
    return topology


def arguments(url: BrokerURL, address: Address, *, sentinel: bool = False) -> dict[str, Any]:
    """Keyword arguments for redis-py's connection class.

    Automatic retries are off: whether a command is sent again is decided in `retry_plan`, under one deadline.
    RESP2, since nothing here needs pushes and its replies are the same on every server.
    """
    values: dict[str, Any] = {
        "username": url.options.get("sentinel_username") if sentinel else url.username,
        "password": url.options.get("sentinel_password") if sentinel else url.password,
        "db": 0 if sentinel else url.db,
        "socket_timeout": url.seconds("socket_timeout", SOCKET_TIMEOUT),
        "socket_connect_timeout": url.seconds("connect_timeout", CONNECT_TIMEOUT),
        "protocol": 2,
        "driver_info": None,
    }
    if url.kind == "unix":
        return {**values, "path": address[0]}
    values |= {
        "host": address[0],
        "port": address[1],
        "socket_keepalive": True,
        "socket_keepalive_options": _keepalive(),
    }
    return values


def pack(wires: list[tuple[Any, ...]]) -> bytes:
    """The bytes of a pipeline.

    A foreign id may be no UTF-8; it is carried as text with surrogate escapes, and goes back to the bytes it
    was.
    """
    try:
        return b"".join([hiredis.pack_command(wire) for wire in wires])
    except UnicodeEncodeError:
        raw = [tuple(_raw(word) for word in wire) for wire in wires]
        return b"".join([hiredis.pack_command(wire) for wire in raw])


def _raw(word: Any) -> Any:
    return word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word


def _keepalive() -> dict[int, int]:
    """The options of TCP by which a dead peer is noticed after about 25 s, also on a connection where nothing is being sent."""
    wanted = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}
