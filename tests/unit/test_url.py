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
    ],
)
def test_reads_every_form(url: str, kind: str, hosts: tuple[tuple[str, int], ...], shown: str) -> None:
    parsed = parse(url)
    assert (parsed.kind, parsed.hosts, str(parsed)) == (kind, hosts, shown)
    assert parsed.secret() == url


def test_a_password_is_only_in_the_secret_form() -> None:
    parsed = parse("redis+cluster://user:canary@a:1?socket_timeout=2")
    assert (parsed.username, parsed.password, parsed.seconds("socket_timeout", 5)) == ("user", "canary", 2)
    assert "canary" not in str(parsed) + repr(parsed)
    assert "canary" in parsed.secret()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "without a scheme"),
        ("http://canary@h", "http:// is not understood"),
        ("redis://a,b", "one host"),
        ("redis://a:canary@h:port", "is not a port"),
        ("redis://h:70000", "is not a port"),
        ("redis://h/x", "must be a number"),
        ("redis+cluster://h/1", "database 0 only"),
        ("redis+sentinel://h", "names the service"),
        ("unix://relative", "absolute path"),
        ("redis://h?nope=1", "unknown option 'nope'"),
        ("redis://h?socket_timeout=-1", "positive number"),
    ],
)
def test_refuses_with_the_reason_and_without_the_password(url: str, says: str) -> None:
    with pytest.raises(InvalidBrokerURL, match=says) as raised:
        parse(url)
    assert "canary" not in str(raised.value)
