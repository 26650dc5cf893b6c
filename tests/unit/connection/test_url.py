"""Broker URLs are understood, and never show their password."""

from __future__ import annotations

import pytest

from taskflow.connection.url import parse
from taskflow.errors import InvalidBrokerURL


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "shown"),
    [
        ("redis://", "single", (("127.0.0.1", 6379),), "redis://127.0.0.1:6379"),
        ("redis://h:1/3", "single", (("h", 1),), "redis://h:1/3"),
        ("redis://h?db=4", "single", (("h", 6379),), "redis://h:6379/4"),
        ("rediss://u:p%40w@h:1", "single", (("h", 1),), "rediss://u:***@h:1"),
        ("redis://[::1]:7", "single", (("::1", 7),), "redis://[::1]:7"),
        ("unix://:pw@/run/a.sock?db=2", "unix", (), "unix://:***@/run/a.sock?db=2"),
        (
            "redis+sentinel://a,b:2/main/1",
            "sentinel",
            (("a", 26379), ("b", 2)),
            "redis+sentinel://a:26379,b:2/main/1",
        ),
        (
            "redis+cluster://a:1,b:2,:3",
            "cluster",
            (("a", 1), ("b", 2), ("127.0.0.1", 3)),
            "redis+cluster://a:1,b:2,127.0.0.1:3",
        ),
        ("embedded:///d?nodes=6", "embedded", (), "embedded:///d?nodes=6"),
        ("REDIS://h", "single", (("h", 6379),), "redis://h:6379"),
        ("valkey://h", "single", (("h", 6379),), "valkey://h:6379"),
        ("valkeys://h", "single", (("h", 6379),), "valkeys://h:6379"),
        (
            "valkey+cluster://a:1,:2",
            "cluster",
            (("a", 1), ("127.0.0.1", 2)),
            "valkey+cluster://a:1,127.0.0.1:2",
        ),
        ("valkeys+cluster://a", "cluster", (("a", 6379),), "valkeys+cluster://a:6379"),
        ("valkey+sentinel://a/s", "sentinel", (("a", 26379),), "valkey+sentinel://a:26379/s"),
        ("valkeys+sentinel://a/s", "sentinel", (("a", 26379),), "valkeys+sentinel://a:26379/s"),
        ("valkey+unix:///run/a.sock", "unix", (), "valkey+unix:///run/a.sock"),
    ],
)
def test_reads_every_form(url: str, kind: str, hosts: tuple[tuple[str, int], ...], shown: str) -> None:
    parsed = parse(url)
    assert (parsed.kind, parsed.hosts, str(parsed)) == (kind, hosts, shown)
    assert parsed.source == url


def test_a_password_is_only_in_the_secret_form() -> None:
    parsed = parse("redis+cluster://user:canary@a:1?socket_timeout=2")
    assert (parsed.username, parsed.password, parsed.seconds("socket_timeout", 5)) == ("user", "canary", 2)
    assert "canary" not in str(parsed) + repr(parsed)
    assert "canary" in parsed.source


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "without a scheme"),
        ("http://canary@h", "http:// is not understood"),
        ("redis://a,b", "one host"),
        ("redis://a:canary@h:port", "is not a port"),
        ("redis://h:70000", "is not a port"),
        ("redis://:canary@[::1", "between brackets"),
        ("redis://:canary@::1]:6379", "is not a port"),
        ("redis+cluster://:canary@[::1:7000,b:7001", "between brackets"),
        ("redis://h/x", "must be a number"),
        ("redis+cluster://h/1", "database 0 only"),
        ("redis+sentinel://h", "names the service"),
        ("unix://relative", "absolute path"),
        ("redis://h?nope=1", "unknown option 'nope'"),
        ("redis://h?socket_timeout=-1", "positive number"),
        ("redis://h?socket_timeout=nan", "positive number"),
        ("redis://h?socket_timout=1", "did you mean socket_timeout"),
        ("redis://h?socket_connect_timeout=1", "did you mean connect_timeout"),
        ("rediss://h?ssl_ca_cert=/x", "did you mean ssl_ca_certs"),
        ("redis://h?password=canary", "before the host"),
        ("redis://h?ssl=true", "rediss://"),
        ("redis://h?db=1&db=2", "twice"),
        ("redis://h?db=one", "number of a database"),
        ("redis://h/" + "9" * 5000, "must be a number"),
        ("redis://h:" + "9" * 5000, "is not a port"),
        ("rediss://h?ssl_cert_reqs=CERT_NOONE", "must be none, optional or required, not 'CERT_NOONE'"),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", "did you mean none"),
        ("rediss://h?ssl_check_hostname=perhaps", "must be yes or no, not 'perhaps'"),
        ("rediss://h?ssl_ca_certs=", "path of a file"),
        ("rediss://h?ssl_keyfile=/k", "needs ssl_certfile"),
        ("redis://h?ssl_ca_certs=/x", "for TLS, which redis:// does not speak; write rediss://"),
        ("valkey+cluster://h?ssl_ca_certs=/x", r"write valkeys\+cluster://"),
        ("unix:///s?ssl_ca_certs=/x", "leave it out"),
        ("redis://h?sentinel_password=canary", r"is for redis\+sentinel://"),
        ("redis+cluster://,", "names no host"),
        ("redis+clutser://h", r"did you mean redis\+cluster://"),
        ("rediscluster://h", r"did you mean redis\+cluster://"),
    ],
)
def test_refuses_with_the_reason_and_without_the_password(url: str, says: str) -> None:
    with pytest.raises(InvalidBrokerURL, match=says) as raised:
        parse(url)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis+cluster://a:1,b:2,", (("a", 1), ("b", 2))),
        ("redis+cluster://a:1, ,b:2", (("a", 1), ("b", 2))),
        ("redis+cluster://a:1,:7001", (("a", 1), ("127.0.0.1", 7001))),
        ("redis://h,", (("h", 6379),)),
        ("redis+sentinel://a,b,/main", (("a", 26379), ("b", 26379))),
        ("redis+cluster://", (("127.0.0.1", 6379),)),
    ],
)
def test_a_comma_too_many_adds_no_host(url: str, hosts: tuple[tuple[str, int], ...]) -> None:
    """A list of nodes that a template made ended in a comma, and clients went to whatever server ran on their own machine."""
    assert parse(url).hosts == hosts


def test_a_plus_in_an_option_is_a_plus() -> None:
    """`sentinel_password=a+b` was read as a form is, as `a b`, and the Sentinels refused it."""
    parsed = parse(
        "rediss+sentinel://a/main?sentinel_password=a+b%20c&sentinel_username=x+y&ssl_ca_certs=/c++/ca.pem"
    )
    assert dict(parsed.options) == {
        "sentinel_password": "a+b c",
        "sentinel_username": "x+y",
        "ssl_ca_certs": "/c++/ca.pem",
    }
    assert "a+b" not in str(parsed) + repr(parsed)


def test_an_unknown_option_is_not_shown_where_it_may_be_a_password() -> None:
    """The password `p?canary` was not escaped, so that its end stands where the options do."""
    for url in ("redis://:p?canary@h", "redis://:p?canary=x@h", "rediss://:p?ssl_cert_reqs=canary@h"):
        with pytest.raises(InvalidBrokerURL) as raised:
            parse(url)
        assert "canary" not in str(raised.value)
