"""`embedded://` URLs and the numbers that a server can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow.embedded import EmbeddedConfig, default_directory, parse_url
from taskflow.errors import ConfigurationError, InvalidBrokerURL, InvalidOption


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("embedded:///srv/queue", EmbeddedConfig(Path("/srv/queue"))),
        ("embedded:///srv/queue?nodes=6", EmbeddedConfig(Path("/srv/queue"), nodes=6)),
        ("embedded:///srv/queue?nodes=1&port=7000", EmbeddedConfig(Path("/srv/queue"), nodes=1, port=7000)),
        ("embedded:///srv/queue?password=no", EmbeddedConfig(Path("/srv/queue"), password=False)),
        ("embedded:///srv/a%20b%23c", EmbeddedConfig(Path("/srv/a b#c"))),
        ("EMBEDDED:///srv/../srv/queue/", EmbeddedConfig(Path("/srv/queue"))),
    ],
)
def test_a_url_says_what_is_wanted(url: str, expected: EmbeddedConfig) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize("url", ["embedded://", "embedded:///", "embedded://?nodes=6"])
def test_without_a_directory_it_is_the_default_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert parse_url(url).directory == Path("/data/taskflow/default")


@pytest.mark.parametrize("data_home", ["", "relative/path"])
def test_the_default_directory_is_in_the_home_directory(
    data_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", data_home)
    monkeypatch.setenv("HOME", "/home/ann")
    assert default_directory() == Path("/home/ann/.local/share/taskflow/default")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://:secret@localhost", "not an embedded:// URL"),
        ("embedded:/srv/queue", "not an embedded:// URL"),
        ("embedded", "not an embedded:// URL"),
        ("embedded://[", "cannot be read"),
        ("embedded://srv/queue", "three slashes"),
        ("embedded://:secret@/srv/queue", "no host, user or password"),
        ("embedded:///srv/queue?node=6", "no argument 'node'"),
        ("embedded:///srv/queue?nodes=", "nodes='', which is not a number"),
        ("embedded:///srv/queue?nodes=six", "nodes='six'"),
        ("embedded:///srv/queue?nodes=5", "5 nodes are not possible"),
        ("embedded:///srv/queue?nodes=0", "0 nodes are not possible"),
        ("embedded:///srv/queue?nodes=6&nodes=6", "twice"),
        ("embedded:///srv/queue?nodes=6&port=55531", "between 1 and 55530"),
        ("embedded:///srv/queue?port=65536", "between 1 and 65535"),
        ("embedded:///srv/queue?port=-1", "port='-1'"),
        ("embedded:///srv/queue?password=secret", "neither yes nor no"),
        ("embedded:///srv/queue#secret", "no #fragment"),
        ("embedded:///srv/%00", "NUL"),
    ],
)
def test_a_bad_url_is_refused_in_one_line_without_its_secrets(url: str, words: str) -> None:
    with pytest.raises(InvalidBrokerURL) as caught:
        parse_url(url)
    message = str(caught.value)
    assert words in message
    assert "secret" not in message
    assert "\n" not in message


@pytest.mark.parametrize("nodes", [-6, 0, 2, 4, 5, 7, 22])
def test_a_cluster_has_a_replica_for_each_of_at_least_three_masters(nodes: int) -> None:
    with pytest.raises(InvalidOption, match="not possible"):
        EmbeddedConfig(Path("/srv/queue"), nodes=nodes)


def test_without_a_home_there_is_no_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigurationError, match="name one"):
        parse_url("embedded://")
