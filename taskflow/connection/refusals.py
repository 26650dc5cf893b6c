"""Errors that no further try can mend, and what the operator can do about them (pure).

Waiting does not help here, so none of it is tried again: each becomes one error of ours, at once. A password is never in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import BrokerAuthError, BrokerMismatch, BrokerRefused
from .topology import Address
from .url import BrokerURL, without_tls
from .url_options import ESCAPE

_NO_LOGIN = ("NOAUTH", "Authentication required", "unauthenticated")
"""The last one comes from servers that do not answer `NOAUTH` to a long command before the login."""

_BAD_LOGIN = (
    "WRONGPASS",
    "invalid username-password",
    "invalid password",
    "AUTH failed",
    "Invalid Username or Password",
)


def refusal(
    url: BrokerURL, address: Address, error: BaseException, *, sentinel: bool = False
) -> BrokerRefused | None:
    """The error for what only the operator can put right; None: it may pass, or it is about the command.

    Args:
        url: the broker.
        address: the node that was asked.
        error: what redis-py raised when it connected, or the server's reply to a command.
        sentinel: whether the node was asked as a Sentinel.

    Example:
        >>> from redis.exceptions import AuthenticationError
        >>> from taskflow.connection.url import parse
        >>> str(refusal(parse("redis://h:1"), ("h", 1), AuthenticationError("Authentication required.")))
        'redis://h:1: the server asks for a password, and the URL has none; write redis://user:password@h:1, or
        redis://:password@h:1'
    """
    if (secure := _tls(url, address, error)) is not None:
        return secure
    text = _first_line(error)
    where = f"{url}: {_server(url, address, sentinel=sentinel)}"
    if any(word in text for word in _NO_LOGIN):
        return BrokerAuthError(
            f"{where} asks for a password, and the URL has none; {_write_login(url, sentinel)}"
        )
    if "without any password configured" in text:
        given = "sentinel_password" if sentinel else "a password"
        return BrokerAuthError(
            f"{where} has no password, and the URL gives {given}; remove it, or set one on the server"
        )
    if any(word in text for word in _BAD_LOGIN):
        return BrokerAuthError(
            f"{where} refused the login{_as_user(url, sentinel)}: the password is wrong, or the user is unknown or switched off; "
            f"{_correct_login(url, sentinel)} ({ESCAPE})"
        )
    if "DENIED" in text:  # protected mode
        return BrokerAuthError(
            f"{where} takes connections from its own machine only: it is in protected mode and has no password; set one"
        )
    if "DB index" in text:
        return BrokerMismatch(
            f"{where} has no database {url.db}; choose a lower number (0 to 15, unless it was set up otherwise)"
        )
    if "SELECT is not allowed in cluster mode" in text:
        return is_a_cluster(url, address)
    if ("NOPERM" in text or "no permissions" in text) and "'select'" in text:
        return BrokerAuthError(
            f"{where} does not let{_as_user(url, sentinel, otherwise=' us')} choose database {url.db} (SELECT); "
            "give the user +select, or leave the database out of the URL"
        )
    if "cluster support disabled" in text:
        return BrokerMismatch(f"{where} is not a cluster; use {_base(url)}:// for one server")
    if "unknown command" in text.lower():
        return _unknown_command(url, where, text)
    return None


def is_a_cluster(url: BrokerURL, address: Address) -> BrokerMismatch:
    """The error for a URL of one server that leads to a node of a cluster."""
    hosts = f"{_host(address[0])}:{address[1]}" if address[1] else "host:port"
    return BrokerMismatch(f"{url}: this is a node of a cluster; use {_base(url)}+cluster://{hosts}")


def is_a_sentinel(url: BrokerURL) -> BrokerMismatch:
    """The error for a URL of one server that leads to a Sentinel."""
    return BrokerMismatch(f"{url}: this is a Sentinel; use {_base(url)}+sentinel://host:26379/service")


def unknown_service(url: BrokerURL, known: Sequence[str] | None) -> BrokerMismatch:
    """The error for a service of which no Sentinel has heard. `known`: those that they know, where they say it."""
    names = "" if known is None else f"; they know {', '.join(known)}" if known else "; they know none at all"
    return BrokerMismatch(f"{url}: the Sentinels know no service {url.service!r}{names}")


def _tls(url: BrokerURL, address: Address, error: BaseException) -> BrokerMismatch | None:
    if not url.tls:
        return None
    # Imported here, for start-up: an app that has not enqueued anything yet does without.
    import ssl

    where = f"{url}: {_server(url, address)}"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            said = (cause.verify_message or "it cannot be verified").rstrip(".")
            remedy = "give the file of its authority: ?ssl_ca_certs=/path/ca.pem"
            if "mismatch" in said.lower() or "doesn't match" in said:
                remedy = "use a name that the certificate has, or ?ssl_check_hostname=no"
            elif "expired" in said:
                remedy = "renew it"
            return BrokerMismatch(f"{where} has a certificate that is not trusted: {said}; {remedy}")
        if isinstance(cause, ssl.SSLError):
            reason = (cause.reason or str(cause)).upper()
            if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason:
                return BrokerMismatch(f"{where} does not speak TLS; use {without_tls(url)}://")
            if "ALERT_HANDSHAKE_FAILURE" in reason:
                return BrokerMismatch(
                    f"{where} refused the TLS handshake; does it want a certificate of ours? "
                    "Give ?ssl_certfile=/path and ssl_keyfile=/path"
                )
            if (
                "CERTIFICATE_REQUIRED" in reason
                or "ALERT_BAD_CERTIFICATE" in reason
                or "ALERT_UNKNOWN_CA" in reason
            ):
                return BrokerMismatch(
                    f"{where} wants a certificate of ours that it trusts; give ?ssl_certfile=/path and ssl_keyfile=/path"
                )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from: redis-py makes an error of its own of each."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _unknown_command(url: BrokerURL, where: str, text: str) -> BrokerMismatch | None:
    said = text.lower()
    if "'sentinel'" in said:
        return BrokerMismatch(f"{where} is no Sentinel; use {_base(url)}:// for one server")
    if "'evalsha'" in said or "'eval'" in said:
        return BrokerMismatch(
            f"{where} runs no scripts: is it a Sentinel? Then use {_base(url)}+sentinel://host:26379/service; "
            "or EVAL was renamed or switched off there, and taskflow cannot do without"
        )
    if "'cluster'" in said:
        return BrokerMismatch(f"{where} is no node of a cluster; use {_base(url)}:// for one server")
    return None


def _server(url: BrokerURL, address: Address, *, sentinel: bool = False) -> str:
    """Who it is, where the URL does not say it already."""
    host = f"{_host(address[0])}:{address[1]}" if address[1] else address[0]
    if sentinel:
        return f"the Sentinel at {host}"
    return "the server" if url.kind in ("single", "unix") else f"the server at {host}"


def _write_login(url: BrokerURL, sentinel: bool) -> str:
    if sentinel:
        return "add ?sentinel_password=… (and sentinel_username=…); user and password before the hosts are the server's"
    rest = str(url).partition("://")[2].rpartition("@")[2]
    return f"write {url.scheme}://user:password@{rest}, or {url.scheme}://:password@{rest}"


def _correct_login(url: BrokerURL, sentinel: bool) -> str:
    if sentinel:
        return "correct sentinel_username and sentinel_password in the URL"
    if url.username and not url.password:
        rest = str(url).partition("://")[2]
        return f"the URL gives a user and no password; if it is the password, write {url.scheme}://:password@{rest}"
    return "correct user and password in the URL"


def _as_user(url: BrokerURL, sentinel: bool, otherwise: str = "") -> str:
    options = url.options
    name, password = (
        (options.get("sentinel_username"), options.get("sentinel_password"))
        if sentinel
        else (url.username, url.password)
    )
    if name and not password:
        # `redis://secret@host`: what stands where a user's name belongs may be the password, whose colon was forgotten.
        name = None
    return f" of user {name!r}" if name and not otherwise else f" user {name!r}" if name else otherwise


def _base(url: BrokerURL) -> str:
    """The scheme of one server of the same family, with TLS or without."""
    base = url.scheme.partition("+")[0]
    return base if base != "unix" else "redis"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
