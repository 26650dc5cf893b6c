"""`taskflow doctor`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from taskflow.broker.sync import Broker
from taskflow.cli.main import main
from taskflow.connection.sync import SyncDriver
from taskflow.states import State
from tests.inspector.stored import Stored
from tests.servers import Server, free_port, start_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, about which there is nothing to say."""
    server = start_server(tmp_path, "--appendonly", "yes")
    yield server
    server.stop()


@pytest.fixture
def mail(server: Server) -> Iterator[Stored]:
    raw, broker = redis.Redis(port=server.port), Broker(SyncDriver(server.url))
    stored = Stored(broker, raw, "mail")
    stored.served()
    yield stored
    broker.close()
    raw.close()


def doctor(server: Server, *words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "-b", server.url, *words])


def test_all_is_well(server: Server, mail: Stored) -> None:
    mail.put(State.PENDING, "t")
    result = doctor(server)
    assert (result.exit_code, result.stdout) == (0, "All is well: 1 queue on 1 node.\n")
    assert doctor(server, "-q", "mail").exit_code == 0


def test_a_finding_says_what_where_and_what_to_do(server: Server, mail: Stored) -> None:
    mail.put(State.SCHEDULED, "lost\x1b[2J")
    mail.raw.delete(mail.keys.scheduled)
    result = doctor(server)
    assert result.exit_code == 1
    assert result.stdout == (
        "error    queue 'mail': tasks stand in no place, so nobody will ever run them: 1 (lost\\x1b[2J)  [task-without-id]\n"
        "         `taskflow doctor --fix` puts it right\n"
        "1 finding: 1 queue on 1 node; --fix puts 1 of them right.\n"
    )
    assert mail.ids(State.PENDING) == []


def test_fix_says_what_it_did_and_ends_well(server: Server, mail: Stored) -> None:
    mail.put(State.SCHEDULED, "lost")
    mail.raw.delete(mail.keys.scheduled)
    result = doctor(server, "--fix")
    assert result.exit_code == 0
    assert result.stdout == (
        "fixed    queue 'mail': 1 task stood in no place and is back where it belongs\n"
        "All is well: 1 queue on 1 node.\n"
    )
    assert mail.ids(State.PENDING) == ["lost"]


def test_a_queue_that_nobody_serves_is_not_well(server: Server, mail: Stored) -> None:
    """ "All is well", it said, beside tasks that nobody would ever take."""
    mail.served("another")
    mail.put(State.PENDING, "t")
    result = doctor(server)
    assert result.exit_code == 1
    assert (
        "error    workers: queues hold tasks that wait, and no running worker serves them: 1 (mail)  [unserved-queue]"
        in (result.stdout)
    )
    assert "All is well" not in result.stdout


def test_what_cannot_be_fixed_stays_a_finding(server: Server, mail: Stored) -> None:
    mail.raw.config_set("maxmemory", 10**9)
    mail.raw.config_set("maxmemory-policy", "allkeys-lru")
    result = doctor(server, "--fix")
    assert result.exit_code == 1
    assert "[eviction]" in result.stdout
    assert "CONFIG SET maxmemory-policy noeviction" in result.stdout


def test_notes_alone_are_well(server: Server, mail: Stored) -> None:
    mail.raw.config_set("maxmemory-policy", "allkeys-lru")
    result = doctor(server)
    assert result.exit_code == 0
    assert result.stdout.startswith("note ")


def test_json(server: Server, mail: Stored) -> None:
    mail.put(State.ACTIVE, "t")
    mail.raw.delete(mail.keys.lease)
    result = doctor(server, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert list(found) == ["clean", "findings", "fixes", "queues", "nodes"]
    (finding,) = found["findings"]
    assert list(finding) == ["severity", "code", "where", "what", "remedy", "count", "examples", "fixable"]
    assert (finding["code"], finding["examples"], finding["fixable"]) == ("active-without-lease", ["t"], True)
    found = json.loads(doctor(server, "--fix", "--json").stdout)
    assert (found["clean"], len(found["fixes"])) == (True, 1)


def test_what_cannot_be_examined_is_exit_code_2(server: Server) -> None:
    result = doctor(server, "-q", "nobodys")
    assert result.exit_code == 2
    assert "queue 'nobodys' does not exist" in result.stderr
    away = CliRunner().invoke(main, ["doctor", "-b", f"redis://127.0.0.1:{free_port()}"])
    assert away.exit_code == 2
    assert away.stderr.startswith("Error: no answer from the broker")
    assert doctor(server, "--wrong").exit_code == 2
