"""The Go peer against itself: what the interoperability tests rely on when they blame Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import redis

from tests.interop import golang
from tests.interop.golang import GoUnavailable, Peer, PeerError, build_peer
from tests.servers import start_server, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]  # the first one may have to build the peer

FAST = {"retry_delay_ms": 0, "delayed_check_ms": 100, "task_check_ms": 50}
"""Flags of a Go worker that should not make a test wait."""


def payload(**fields: object) -> str:
    return json.dumps(fields)


class TestEnqueue:
    def test_answers_each_task_with_its_id_and_state(self, peer: Peer, queue: str) -> None:
        answers = peer.enqueue(
            [
                {"type": "a", "queue": queue, "id": "now"},
                {"type": "a", "queue": queue, "id": "later", "process_in_ms": 3_600_000},
                {"type": "a", "queue": queue, "id": "grouped", "group": "G"},
            ]
        )
        assert answers == [
            {"ok": True, "id": "now", "queue": queue, "state": "pending"},
            {"ok": True, "id": "later", "queue": queue, "state": "scheduled"},
            {"ok": True, "id": "grouped", "queue": queue, "state": "aggregating"},
        ]

    def test_tells_a_held_lock_from_a_taken_id(self, peer: Peer, queue: str) -> None:
        unique = {"type": "a", "payload": "x", "queue": queue, "unique_ms": 60_000}
        _, duplicate, _, conflict = peer.enqueue(
            [
                unique,
                unique,
                {"type": "b", "queue": queue, "id": "1"},
                {"type": "b", "queue": queue, "id": "1"},
            ]
        )
        assert (duplicate["ok"], duplicate["duplicate"], duplicate["conflict"]) == (False, True, False)
        assert (conflict["ok"], conflict["duplicate"], conflict["conflict"]) == (False, False, True)

    def test_an_absent_payload_is_nil_and_has_another_lock_than_an_empty_one(
        self, peer: Peer, queue: str
    ) -> None:
        task = {"type": "a", "queue": queue, "unique_ms": 60_000}
        answers = peer.enqueue([task, {**task, "payload": ""}])
        assert [answer["ok"] for answer in answers] == [True, True]

    def test_a_misspelt_option_is_refused(self, peer: Peer, queue: str) -> None:
        (answer,) = peer.enqueue([{"type": "a", "queue": queue, "retention": 1}])
        assert answer["error"] == 'json: unknown field "retention"'

    def test_every_option_is_stored(self, peer: Peer, queue: str) -> None:
        deadline = int(time.time()) + 3600
        peer.enqueue(
            [
                {
                    "type": "a",
                    "payload": "ünï",
                    "queue": queue,
                    "id": "1",
                    "max_retry": 3,
                    "timeout_ms": 90_000,
                    "deadline_unix": deadline,
                    "process_at_unix": deadline - 1000,
                    "retention_ms": 7_000,
                    "headers": {"trace": "<1>"},
                }
            ]
        )
        assert peer.inspect("task", queue=queue, id="1") == {
            "id": "1",
            "queue": queue,
            "type": "a",
            "payload": "ünï",
            "headers": {"trace": "<1>"},
            "state": "scheduled",
            "max_retry": 3,
            "retried": 0,
            "last_err": "",
            "last_failed_at": None,
            "timeout_s": 90,
            "deadline": deadline,
            "group": "",
            "next_process_at": deadline - 1000,
            "is_orphaned": False,
            "retention_s": 7,
            "completed_at": None,
            "result": "",
        }


class TestWork:
    def test_runs_what_the_payload_asks_for(self, peer: Peer, queue: str) -> None:
        asked = {
            "ok": "ok",
            "boom": "fail",
            "skipped": "skip",
            "revoked": "revoke",
            "wild": "panic",
            "said": "result:42",
        }
        tasks = [
            {
                "type": "a",
                "payload": payload(go=go),
                "queue": queue,
                "id": name,
                "max_retry": 0,
                "retention_ms": 60_000,
            }
            for name, go in asked.items()
        ]
        peer.enqueue([*tasks, {"type": "a", "payload": "no JSON", "queue": queue, "id": "plain"}])
        with peer.work({queue: 1}, **FAST) as worker:
            ends = {name: worker.wait_for_end(name).get("error") for name in [*asked, "plain"]}
        assert ends == {
            "ok": None,
            "boom": "boom",
            "skipped": "boom: skip retry for the task",
            "revoked": "boom: revoke task",
            "wild": "panic: boom",
            "said": None,
            "plain": None,
        }
        completed = peer.inspect("list", queue=queue, state="completed")
        assert {task["id"]: task["result"] for task in completed} == {"ok": "", "said": "42"}
        archived = peer.inspect("list", queue=queue, state="archived")
        assert {task["id"] for task in archived} == {"boom", "skipped", "wild"}

    def test_an_event_shows_the_whole_task(self, peer: Peer, queue: str) -> None:
        task = {
            "type": "a:b",
            "payload": "{}",
            "queue": queue,
            "id": "1",
            "max_retry": 7,
            "headers": {"k": "v"},
        }
        peer.enqueue([task])
        with peer.work({queue: 1}, **FAST) as worker:
            end = worker.wait_for_end("1")
            assert 0 <= time.time() - end.pop("at") < 60
        assert end == {**task, "event": "end", "retried": 0}
        assert [event["event"] for event in worker.events] == ["ready", "start", "end", "stopped"]

    def test_a_retry_is_counted(self, peer: Peer, queue: str) -> None:
        peer.enqueue([{"type": "a", "payload": payload(go="fail:2"), "queue": queue, "id": "1"}])
        with peer.work({queue: 1}, **FAST) as worker:
            worker.wait_for(
                lambda events: any(e["event"] == "end" and "error" not in e for e in events),
                30,
                "a run succeeds",
            )
        assert [event["retried"] for event in worker.events if event["event"] == "start"] == [0, 1, 2]

    def test_a_group_becomes_one_task(self, peer: Peer, queue: str) -> None:
        peer.enqueue([{"type": "a", "payload": str(n), "queue": queue, "group": "G"} for n in range(3)])
        assert peer.inspect("groups", queue=queue) == [{"group": "G", "size": 3}]
        with peer.work({queue: 1}, group_grace_ms=1000, group_max_size=3, **FAST) as worker:
            ends = worker.wait_for(
                lambda events: [e for e in events if e["event"] == "end"], 30, "the aggregated task ends"
            )
        assert ends[0]["type"] == "aggregated:G"
        assert sorted(json.loads(ends[0]["payload"])) == ["0", "1", "2"]

    def test_is_listed_with_its_running_task_and_can_be_cancelled(self, peer: Peer, queue: str) -> None:
        peer.enqueue(
            [{"type": "a", "payload": payload(go="sleep:60000"), "queue": queue, "id": f"{queue}-1"}]
        )

        def record() -> dict[str, object] | None:
            servers = {server["pid"]: server for server in peer.inspect("servers")}
            return servers.get(worker.pid)

        with peer.work({queue: 3}, concurrency=2, strict=True, **FAST) as worker:
            wait_until(
                lambda: (record() or {}).get("active_workers"), description="the running task is listed"
            )
            server = record()
            assert server is not None
            assert (server["concurrency"], server["queues"], server["strict"]) == (2, {queue: 3}, True)
            peer.inspect("cancel", id=f"{queue}-1")
            assert worker.wait_for_end(f"{queue}-1")["error"] == "context canceled"

    def test_hands_its_task_back_at_a_graceful_stop(self, peer: Peer, queue: str) -> None:
        peer.enqueue([{"type": "a", "payload": payload(go="sleep:60000"), "queue": queue, "id": "1"}])
        with peer.work({queue: 1}, shutdown_ms=100, **FAST) as worker:
            worker.wait_for(lambda events: any(e["event"] == "start" for e in events), 20, "the task starts")
        assert peer.inspect("task", queue=queue, id="1")["state"] == "pending"

    def test_a_kill_leaves_the_task_active(self, peer: Peer, queue: str) -> None:
        peer.enqueue([{"type": "a", "payload": payload(go="sleep:60000"), "queue": queue, "id": "1"}])
        with peer.work({queue: 1}, **FAST) as worker:
            worker.wait_for(lambda events: any(e["event"] == "start" for e in events), 20, "the task starts")
            worker.kill()
        assert peer.inspect("task", queue=queue, id="1")["state"] == "active"

    def test_a_server_that_cannot_be_reached_fails_at_once(self, peer_binary: Path) -> None:
        nowhere = Peer(peer_binary, "127.0.0.1:1")
        with pytest.raises(AssertionError, match="connection refused"), nowhere.work({"q": 1}):
            pass


class TestInspect:
    def test_administers_a_queue(self, peer: Peer, queue: str) -> None:
        peer.enqueue([{"type": "a", "queue": queue, "id": str(n)} for n in range(4)])
        assert queue in peer.inspect("queues")
        peer.inspect("pause", queue=queue)
        peer.inspect("archive", queue=queue, id="0")
        peer.inspect("delete", queue=queue, id="1")
        info = peer.inspect("info", queue=queue)
        assert (info["paused"], info["pending"], info["archived"], info["size"]) == (True, 2, 1, 3)
        peer.inspect("unpause", queue=queue)
        assert peer.inspect("runall", queue=queue, state="archived") == 1
        assert len(peer.inspect("list", queue=queue, state="pending", size=2)) == 2
        peer.inspect("delete_queue", queue=queue, force=True)
        assert queue not in peer.inspect("queues")

    def test_a_refusal_is_an_exception_with_asynqs_text(self, peer: Peer, queue: str) -> None:
        with pytest.raises(PeerError, match=f'queue "{queue}" does not exist'):
            peer.inspect("info", queue=queue)

    def test_an_unknown_operation_is_refused(self, peer: Peer) -> None:
        with pytest.raises(PeerError, match='unknown op "explode"'):
            peer.inspect("explode")


def test_speaks_through_a_unix_socket_with_a_password(peer_binary: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="peer") as short:  # a socket's path has at most 107 bytes
        socket = Path(short) / "s"
        server = start_server(tmp_path, "--unixsocket", str(socket))
        try:
            with redis.Redis(port=server.port) as client:
                client.config_set("requirepass", "secret")
            (refused,) = Peer(peer_binary, str(socket)).enqueue([{"type": "a"}])
            (accepted,) = Peer(peer_binary, str(socket), "secret").enqueue([{"type": "a"}])
        finally:
            server.stop()
    assert "NOAUTH" in refused["error"]
    assert accepted["ok"]


def test_benchmarks_report_their_numbers(peer: Peer, queue: str) -> None:
    assert peer.bench("enqueue", queue=queue, count=50, goroutines=2)["count"] == 50
    assert peer.inspect("info", queue=queue)["pending"] == 50
    assert peer.bench("drain", queue=queue, count=50, concurrency=5)["seconds"] > 0
    latency = peer.bench("latency", queue=queue, count=2, interval_ms=10)
    assert 0 < latency["median_ms"] <= latency["p99_ms"] <= latency["max_ms"]


needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed: no `go` on the PATH")


class TestBuild:
    def test_happens_once(self, peer_binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine that has the program does not need Go."""
        monkeypatch.setenv("PATH", "")
        assert build_peer() == peer_binary

    def test_without_go_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(GoUnavailable, match="Go is not installed"):
            build_peer(tmp_path)

    @needs_go
    def test_without_the_modules_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOPROXY", "off")
        monkeypatch.setenv("GOMODCACHE", str(tmp_path / "empty"))
        with pytest.raises(GoUnavailable, match="cannot be fetched"):
            build_peer(tmp_path)

    @needs_go
    def test_a_program_that_does_not_compile_is_no_excuse(
        self, tmp_path: Path, peer_binary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sources = shutil.copytree(golang.SOURCES, tmp_path / "peer")
        (sources / "main.go").write_text("package main\nfunc main() { nonsense }\n")
        monkeypatch.setattr(golang, "SOURCES", sources)
        with pytest.raises(PeerError, match="nonsense"):
            build_peer(tmp_path / "cache")


@needs_go
@pytest.mark.parametrize("folder", ["tests/interop/peer", "examples/tutorial/go"])
def test_our_go_code_is_formatted_and_vetted(
    folder: str, request: pytest.FixtureRequest, peer_binary: Path
) -> None:
    module = request.config.rootpath / folder
    for command in (["gofmt", "-l", "."], ["go", "vet", "./..."]):
        done = subprocess.run(command, cwd=module, capture_output=True, text=True, timeout=250, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
