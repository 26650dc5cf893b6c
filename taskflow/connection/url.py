"""Broker URLs: what they may say, and how they are shown without their password (pure)."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote

from ..errors import InvalidBrokerURL

Kind = Literal["single", "unix", "sentinel", "cluster", "embedded"]
HostPort = tuple[str, int]

_SCHEMES: Mapping[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "valkey": ("single", False),
    "valkeys": ("single", True),
    "unix": ("unix", False),
    "redis+unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "embedded": ("embedded", False),
}
_DEFAULT_PORT: Mapping[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_ESCAPE = "a password with special characters is written %-escaped"
_SECONDS = ("socket_timeout", "connect_timeout")
_TEXTS = (
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_cert_reqs",
    "sentinel_username",
    "sentinel_password",
)


@dataclass(frozen=True, slots=True)
class BrokerURL:
    """A broker URL, taken apart.

    `str()` and `repr()` never show a password; `secret()` gives the whole URL back.
    """

    kind: Kind
    scheme: str
    hosts: tuple[HostPort, ...] = ()
    path: str = ""
    service: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: bool = False
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    source: str = field(default="", repr=False, compare=False)

    def __str__(self) -> str:
        login = f"{quote(self.username or '')}:***@" if self.password else ""
        if self.kind == "embedded":
            return self.source or "embedded://"
        if self.kind == "unix":
            return f"{self.scheme}://{login}{self.path}" + (f"?db={self.db}" if self.db else "")
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        tail = f"/{self.service}" if self.service else ""
        return f"{self.scheme}://{login}{hosts}{tail}" + (f"/{self.db}" if self.db else "")

    def secret(self) -> str:
        """The URL as it was given, with its password: for a child process or a client, never for a log."""
        return self.source

    def seconds(self, name: str, default: float) -> float:
        """The option `name` as seconds."""
        return float(self.options.get(name, default))


def parse(url: str) -> BrokerURL:
    """Take a broker URL apart.

    Args:
        url: one of `redis://`, `rediss://`, `unix://`, `redis+sentinel://host:port,host:port/service[/db]`,
            `redis+cluster://a:7000,b:7000,:7001` (no host: localhost), or `embedded://`.

    Raises:
        InvalidBrokerURL: when it cannot be understood; the text names what is wrong and never holds the
            password.

    Example:
        >>> str(parse("redis+cluster://:pw@a:7000,:7001"))
        'redis+cluster://:***@a:7000,127.0.0.1:7001'
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        shown = f"{scheme}://" if separator and _is_word(scheme) else "without a scheme"
        raise InvalidBrokerURL(f"a broker URL {shown} is not understood; the schemes are {known}")
    kind, tls = _SCHEMES[scheme]
    if kind == "embedded":
        return BrokerURL(kind=kind, scheme=scheme, source=url)
    rest, _, query = rest.partition("?")
    options = _options(query)
    login, at, location = rest.rpartition("@")
    username, password = _login(login) if at else (None, None)
    common = _Common(kind, scheme, username, password, tls, options, url)
    return _unix(common, location) if kind == "unix" else _network(common, location)


@dataclass(frozen=True, slots=True)
class _Common:
    kind: Kind
    scheme: str
    username: str | None
    password: str | None
    tls: bool
    options: dict[str, str]
    source: str

    def build(
        self, *, hosts: tuple[HostPort, ...] = (), path: str = "", service: str = "", db: int = 0
    ) -> BrokerURL:
        return BrokerURL(
            kind=self.kind,
            scheme=self.scheme,
            hosts=hosts,
            path=path,
            service=service,
            username=self.username,
            password=self.password,
            db=db,
            tls=self.tls,
            options=self.options,
            source=self.source,
        )


def _unix(common: _Common, path: str) -> BrokerURL:
    if not path.startswith("/"):
        raise InvalidBrokerURL("a unix:// URL needs an absolute path, as in unix:///run/valkey.sock")
    return common.build(path=unquote(path), db=_database(common.options.pop("db", "")))


def _network(common: _Common, location: str) -> BrokerURL:
    netloc, _, tail = location.partition("/")
    parts = [part for part in tail.split("/") if part]
    service = ""
    if common.kind == "sentinel":
        if not parts:
            raise InvalidBrokerURL(
                "a Sentinel URL names the service after the hosts: redis+sentinel://host:26379/mymaster"
            )
        service = unquote(parts.pop(0))
    db = _database(common.options.pop("db", "") or (parts.pop(0) if parts else ""))
    if parts:
        raise InvalidBrokerURL(
            f"the broker URL has too many parts after its hosts; {_ESCAPE}, and a database is one number"
        )
    if common.kind == "cluster" and db:
        raise InvalidBrokerURL("a cluster has database 0 only; remove the database from the URL")
    hosts = tuple(_host(text, _DEFAULT_PORT[common.kind]) for text in netloc.split(","))
    if common.kind == "single" and len(hosts) > 1:
        raise InvalidBrokerURL(
            "redis:// takes one host; for several use redis+cluster:// or redis+sentinel://"
        )
    return common.build(hosts=hosts, service=service, db=db)


def _host(text: str, default_port: int) -> HostPort:
    text = text.strip()
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidBrokerURL(
            f"what follows a colon in the broker URL is not a port (1 to 65535); a password ends with an @, and {_ESCAPE}"
        )
    return host or "127.0.0.1", int(port) if port else default_port


def _login(text: str) -> tuple[str | None, str | None]:
    username, colon, password = text.partition(":")
    if not colon:
        return unquote(username) or None, None
    return unquote(username) or None, unquote(password) or None


def _database(text: str) -> int:
    if not text:
        return 0
    if not set(text) <= set(string.digits):
        raise InvalidBrokerURL(f"the database in the broker URL must be a number; {_ESCAPE}")
    return int(text)


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in options.items():
        if name not in (*_SECONDS, *_TEXTS, "db"):
            known = ", ".join((*_SECONDS, *_TEXTS, "db"))
            shown = f" {name!r}" if _is_word(name) and "@" not in query else ""
            raise InvalidBrokerURL(
                f"the broker URL has an unknown option{shown}; known are {known}; {_ESCAPE}"
            )
        if name in _SECONDS and not _positive(value):
            raise InvalidBrokerURL(f"the broker URL's option {name} must be a positive number of seconds")
    return options


def _is_word(text: str) -> bool:
    """Whether it may be shown: a word that somebody mistyped, and no part of a password that was not escaped."""
    return len(text) <= 30 and text.replace("+", "").replace("_", "").isalpha() and text.isascii()


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < 3600
    except ValueError:
        return False
