"""Broker URLs: what they may say, and how they are shown without their password (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal
from urllib.parse import quote, unquote

from ..errors import InvalidBrokerURL
from .url_options import ESCAPE, is_number, is_word, read

Kind = Literal["single", "unix", "sentinel", "cluster", "embedded"]
HostPort = tuple[str, int]

_SCHEMES: Mapping[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("unix", False),
    "redis+unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "valkey": ("single", False),
    "valkeys": ("single", True),
    "valkey+unix": ("unix", False),
    "valkey+sentinel": ("sentinel", False),
    "valkeys+sentinel": ("sentinel", True),
    "valkey+cluster": ("cluster", False),
    "valkeys+cluster": ("cluster", True),
    "embedded": ("embedded", False),
}
_SHOWN = ", ".join(f"{name}://" for name in _SCHEMES if "valkey" not in name and name != "redis+unix")
_DEFAULT_PORT: Mapping[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class BrokerURL:
    """A broker URL, taken apart.

    `str()` and `repr()` never show a password; `source` is the whole URL as it was given.
    """

    kind: Kind
    scheme: str
    hosts: tuple[HostPort, ...] = ()
    path: str = ""
    service: str = ""
    username: str | None = field(default=None, repr=False)
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

    def seconds(self, name: str, default: float) -> float:
        """The option `name` as seconds."""
        return float(self.options.get(name, default))


def parse(url: str) -> BrokerURL:
    """Take a broker URL apart.

    Args:
        url: one of `redis://`, `rediss://`, `unix://`, `redis+sentinel://host:port,host:port/service[/db]`,
            `redis+cluster://a:7000,b:7000,:7001` (no host: localhost), or `embedded://`; `valkey` in the place of
            `redis` says the same.

    Raises:
        InvalidBrokerURL: when it cannot be understood; the text names what is wrong and never holds the
            password.

    Example:
        >>> str(parse("redis+cluster://:pw@a:7000,:7001"))
        'redis+cluster://:***@a:7000,127.0.0.1:7001'
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _SCHEMES:
        raise InvalidBrokerURL(_not_understood(scheme if separator else ""))
    kind, tls = _SCHEMES[scheme]
    if kind == "embedded":
        return BrokerURL(kind=kind, scheme=scheme, source=url)
    rest, _, query = rest.partition("?")
    options = read(query, tls=tls, sentinel=kind == "sentinel", scheme=scheme)
    login, at, location = rest.rpartition("@")
    username, password = _login(login) if at else (None, None)
    common = _Common(kind, scheme, username, password, tls, options, url)
    return _unix(common, location) if kind == "unix" else _network(common, location)


def without_tls(url: BrokerURL) -> str:
    """The scheme of the same servers without TLS, as errors advise it."""
    return url.scheme.replace("rediss", "redis", 1).replace("valkeys", "valkey", 1)


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
            f"the broker URL has too many parts after its hosts; {ESCAPE}, and a database is one number"
        )
    if common.kind == "cluster" and db:
        raise InvalidBrokerURL("a cluster has database 0 only; remove the database from the URL")
    # A comma too many names no host: it is not the local one.
    named = [text for text in netloc.split(",") if text.strip()]
    if not named and "," in netloc:
        raise InvalidBrokerURL("the broker URL names no host between its commas")
    hosts = tuple(_host(text, _DEFAULT_PORT[common.kind]) for text in named or [""])
    if common.kind == "single" and len(hosts) > 1:
        raise InvalidBrokerURL(
            f"{common.scheme}:// takes one host; for several use {common.scheme}+cluster:// or {common.scheme}+sentinel://"
        )
    return common.build(hosts=hosts, service=service, db=db)


def _host(text: str, default_port: int) -> HostPort:
    text = text.strip()
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
        closed = "]"
    if not closed or "[" in host or "]" in host:
        raise InvalidBrokerURL(
            f"an IPv6 address in the broker URL stands between brackets, as in redis://[::1]:6379; {ESCAPE}"
        )
    if port and not (is_number(port) and 0 < int(port) < 65536):
        raise InvalidBrokerURL(
            f"what follows a colon in the broker URL is not a port (1 to 65535); a password ends with an @, and {ESCAPE}"
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
    if not is_number(text):
        raise InvalidBrokerURL(f"the database in the broker URL must be a number; {ESCAPE}")
    return int(text)


def _not_understood(scheme: str) -> str:
    shown = f"{scheme}://" if is_word(scheme) else "without a scheme"
    close = get_close_matches(scheme, _SCHEMES, n=1) if is_word(scheme) else []
    hint = f"; did you mean {close[0]}://?" if close else ""
    return f"a broker URL {shown} is not understood{hint}; the schemes are {_SHOWN}, and the same with valkey for redis"
