"""What may stand behind the `?` of a broker URL (pure)."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from urllib.parse import unquote

from ..errors import InvalidBrokerURL

ESCAPE = "a password with special characters is written %-escaped"

CERT_REQS = ("none", "optional", "required")

_YES, _NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")

_ELSEWHERE: Mapping[str, str] = {
    "username": "the user stands before the host, as in redis://user:password@host",
    "user": "the user stands before the host, as in redis://user:password@host",
    "password": "the password stands before the host, as in redis://:password@host",
    "auth": "the password stands before the host, as in redis://:password@host",
    "ssl": "TLS is asked for by the scheme: rediss://",
    "tls": "TLS is asked for by the scheme: rediss://",
    "socket_connect_timeout": "did you mean connect_timeout?",
    "timeout": "did you mean socket_timeout?",
    "master_name": "the service stands behind the hosts, as in redis+sentinel://host:26379/mymaster",
    "service_name": "the service stands behind the hosts, as in redis+sentinel://host:26379/mymaster",
}
"""Options of other libraries, and how the same is written here."""


def read(query: str, *, tls: bool, sentinel: bool, scheme: str) -> dict[str, str]:
    """The options of a URL, each checked.

    A `+` is a plus: this is no form, and passwords and paths hold them.

    Args:
        query: what stands behind the `?`.
        tls: whether the scheme asks for TLS, without which an `ssl_…` option would do nothing.
        sentinel: whether the URL names Sentinels, without which a `sentinel_…` option would do nothing.
        scheme: for the texts.

    Raises:
        InvalidBrokerURL: an option is unknown, stands there twice, is of no use here, or has a value that it cannot have.
    """
    options: dict[str, str] = {}
    # A password that was not escaped may have an @ or a ? in it: then nothing of what stands here is shown.
    whole = "@" not in query
    for part in filter(None, query.split("&")):
        name, _, text = part.partition("=")
        name, value = unquote(name), unquote(text)
        if name not in _CHECKS:
            raise InvalidBrokerURL(_unknown(name, whole))
        if name in options:
            raise InvalidBrokerURL(f"the broker URL gives the option {name} twice")
        if wrong := _CHECKS[name](value):
            shown = (
                f", not {value!r}" if whole and value and is_word(value) and "password" not in name else ""
            )
            hint = _closest(value.lower().removeprefix("cert_"), CERT_REQS) if name == "ssl_cert_reqs" else ""
            raise InvalidBrokerURL(f"the broker URL's option {name} {wrong}{shown}{hint}")
        if name.startswith("ssl_") and not tls:
            secure = scheme.replace("redis", "rediss", 1).replace("valkey", "valkeys", 1)
            remedy = f"write {secure}://" if secure != scheme and "unix" not in scheme else "leave it out"
            raise InvalidBrokerURL(
                f"the broker URL's option {name} is for TLS, which {scheme}:// does not speak; {remedy}"
            )
        if name.startswith("sentinel_") and not sentinel:
            raise InvalidBrokerURL(
                f"the broker URL's option {name} is for redis+sentinel://; user and password of the server stand before its host"
            )
        options[name] = value
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise InvalidBrokerURL(
            "the broker URL's option ssl_keyfile needs ssl_certfile, the certificate of the key"
        )
    return options


def is_yes(text: str) -> bool:
    """Whether an option that is yes or no says yes."""
    return text.lower() in _YES


def is_word(text: str) -> bool:
    """Whether it may be shown: a word that somebody mistyped, and no part of a password that was not escaped."""
    return len(text) <= 30 and text.replace("+", "").replace("_", "").isalpha() and text.isascii()


def is_number(text: str) -> bool:
    """Whether it is a number that a database may have."""
    return 0 < len(text) <= 10 and set(text) <= set(string.digits)


def _seconds(text: str) -> str:
    try:
        fits = 0 < float(text) < 3600
    except ValueError:
        fits = False
    return "" if fits else "must be a positive number of seconds, below 3600"


def _file(text: str) -> str:
    return "" if text and "\0" not in text else "must be the path of a file"


def _cert_reqs(text: str) -> str:
    return "" if text.lower() in CERT_REQS else f"must be {', '.join(CERT_REQS[:-1])} or {CERT_REQS[-1]}"


def _yes_or_no(text: str) -> str:
    return "" if text.lower() in _YES + _NO else "must be yes or no"


def _database(text: str) -> str:
    return "" if not text or is_number(text) else "must be the number of a database"


def _anything(_text: str) -> str:
    return ""


_CHECKS: Mapping[str, Callable[[str], str]] = {
    "socket_timeout": _seconds,
    "connect_timeout": _seconds,
    "ssl_ca_certs": _file,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_cert_reqs": _cert_reqs,
    "ssl_check_hostname": _yes_or_no,
    "sentinel_username": _anything,
    "sentinel_password": _anything,
    "db": _database,
}
"""Every option, and what is wrong with a value of it: the end of a sentence, or nothing."""


def _unknown(name: str, whole: bool) -> str:
    shown = f" {name!r}" if whole and is_word(name) else ""
    hint = _ELSEWHERE.get(name.lower(), "") if shown else ""
    if not hint and shown:
        hint = _closest(name.lower(), _CHECKS).removeprefix("; ")
    return (
        f"the broker URL has an unknown option{shown}; {hint or 'known are ' + ', '.join(_CHECKS)}; {ESCAPE}"
    )


def _closest(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
