"""The fixture that looks before and after every test; `tests/conftest.py` makes this module a plugin.

A fixture that outlives the test (a server of the session, a worker of the module) is no leak of the test that happened to need
it first: what it has brought is taken for granted from then on. The keys of the test's queue are looked at by `_consistent` in
`tests/conftest.py`: each has an owner, or an end.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from taskflow.connection.sync import SyncDriver, _drivers
from tests.leaks.resources import Looker, Resources, idle_sockets, owners_of

PATIENCE = 20.0
"""Seconds that something may take to go away: a process that ends, a connection that the server sees close. Only a test that
fails waits so long.
"""

_looker = Looker()
_granted = Resources()
_wide: set[str] = set()
"""Fixtures of a wider scope than a test, without the servers."""


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[Any]:
    """What a fixture of a wider scope brings is granted."""
    if fixturedef.scope == "function":
        return (yield)
    global _granted
    if fixturedef.func.__module__.startswith("tests.") and fixturedef.argname not in (
        "valkey",
        "cluster",
        "peer_binary",
    ):
        _wide.add(fixturedef.argname)
    before = _looker.look()
    try:
        value = yield
        if fixturedef.argname == "valkey":
            _looker.server = redis.Redis(port=value.port)
            _looker.server.ping()
        return value
    finally:
        _granted |= _looker.look() - before


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the test there are no more threads, open files, processes and connections than before."""
    global _granted
    _granted = Resources()
    before = _looker.look()
    drivers = list(_drivers)
    yield
    if _wide & set(request.fixturenames):
        drivers = list(_drivers)  # an app of the module makes its client at the first use
    left = _left(before, drivers)
    deadline = time.monotonic() + PATIENCE
    while left and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
        left = _left(before, drivers)
    if left:
        pytest.fail("left behind: " + "; ".join(_looker.describe(left)))


def _left(before: Resources, drivers: list[SyncDriver]) -> Resources:
    """`drivers` were there before the test: what they keep open for the next call is theirs."""
    left = _looker.look() - before - _granted
    if left.files:
        left.files -= idle_sockets(drivers)
    if left.connections:
        left.connections = _of_nobody(left.connections, before)
    return left


def _of_nobody(connections: set[int], before: Resources) -> set[int]:
    """Without those of processes that outlive the test: a worker of the module may connect whenever it likes. Our own are among
    the open files.
    """
    assert _looker.server is not None
    try:
        listed = [one for one in _looker.server.client_list() if int(one["id"]) in connections]
    except redis.RedisError:
        return set()  # it has just been stopped, and its connections with it
    owners = owners_of(listed)
    outlive = before.processes | _granted.processes | {os.getpid()}
    return {int(one["id"]) for one in listed if owners.get(int(one["id"])) not in outlive}
