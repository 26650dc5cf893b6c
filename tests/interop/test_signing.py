"""Go programs can check our signatures, and sign for us: the code of docs/security.md, as it stands there."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskflow import TaskFlow
from tests.interop.golang import Peer
from tests.security.test_signing import VECTORS
from tests.servers import Server
from tests.workers import ROOT, WorkerProcess

pytestmark = pytest.mark.interop

KEY = "signing-key-of-the-tests"

MAIN = """
package main

import (
	"encoding/json"
	"os"

	taskflow "example/page"
)

type task struct {
	Do          string
	Keys        []string
	Name        string
	Queue       string
	ID          string
	ContentType string
	Headers     map[string]string
	Payload     []byte
}

func main() {
	var tasks []task
	if err := json.NewDecoder(os.Stdin).Decode(&tasks); err != nil {
		panic(err)
	}
	answers := []string{}
	for _, t := range tasks {
		var keys [][]byte
		for _, key := range t.Keys {
			keys = append(keys, []byte(key))
		}
		if t.Do == "sign" {
			answers = append(answers, taskflow.Sign(keys[0], t.Name, t.Queue, t.ID, t.ContentType, t.Payload))
		} else if err := taskflow.Check(keys, t.Name, t.Queue, t.ID, t.Headers, t.Payload); err != nil {
			answers = append(answers, err.Error())
		} else {
			answers = append(answers, "ok")
		}
	}
	json.NewEncoder(os.Stdout).Encode(answers)
}
"""

Ask = Callable[[list[dict[str, Any]]], list[str]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """The page's Go code in a program: answers to a list of tasks to sign or to check."""
    go = shutil.which("go")
    if go is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Go is not installed")
        pytest.skip("Go is not installed: no `go` on the PATH")
    (code,) = re.findall(r"(?ms)^```go\n(.*?)^```", (ROOT / "docs" / "security.md").read_text())
    folder = tmp_path_factory.mktemp("go")
    (folder / "page").mkdir()
    (folder / "page" / "page.go").write_text(code)
    (folder / "main.go").write_text(MAIN)
    (folder / "go.mod").write_text("module example\n\ngo 1.21\n")
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
    for command in (["vet", "./..."], ["build", "-o", "ask", "."]):
        done = subprocess.run(
            [go, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr

    def call(tasks: list[dict[str, Any]]) -> list[str]:
        done = subprocess.run(
            [str(folder / "ask")],
            input=json.dumps(tasks),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        answers: list[str] = json.loads(done.stdout)
        return answers

    return call


def of_vector(vector: dict[str, str], do: str) -> dict[str, Any]:
    headers = {"taskflow-sig": vector["header"]}
    if vector["content_type"] != "application/json":
        headers["taskflow-content-type"] = vector["content_type"]
    return {
        "Do": do,
        "Keys": ["some-other-key-0123456789", vector["key"]] if do == "check" else [vector["key"]],
        "Name": vector["name"],
        "Queue": vector["queue"],
        "ID": vector["id"],
        "ContentType": vector["content_type"],
        "Headers": headers,
        "Payload": vector["payload"],
    }


def test_go_signs_and_checks_the_vectors(ask: Ask) -> None:
    vectors = VECTORS["signatures"]
    assert ask([of_vector(vector, "sign") for vector in vectors]) == [vector["header"] for vector in vectors]
    assert ask([of_vector(vector, "check") for vector in vectors]) == ["ok"] * len(vectors)


def test_go_refuses_what_was_changed(ask: Ask) -> None:
    good = of_vector(VECTORS["signatures"][0], "check")
    bad = [
        {**good, "Name": "x"},
        {**good, "Queue": "x"},
        {**good, "ID": "x"},
        {**good, "Payload": ""},
        {**good, "Headers": {}},
        {**good, "Headers": {**good["Headers"], "taskflow-content-type": "application/x-cloudpickle"}},
        {**good, "Keys": ["some-other-key-0123456789"]},
    ]
    assert ask(bad) == ["taskflow: unsigned or bad signature"] * len(bad)


def test_a_go_worker_can_check_what_python_has_enqueued(
    ask: Ask, peer: Peer, valkey: Server, queue: str
) -> None:
    """With the headers, the payload, the queue and the id that Asynq gives to a handler."""
    app = TaskFlow("signing", broker=valkey.url, signing_keys=[KEY], queue=queue)

    @app.task(name="email:deliver")
    def deliver(user_id: int, name: str) -> None: ...

    with peer.work({queue: 1}) as worker:
        result = deliver.delay(42, "Jörg <&>")
        event = worker.wait_for_end(result.id)
    app.close()
    task = {
        "Do": "check",
        "Keys": [KEY],
        "Name": event["type"],
        "Queue": event["queue"],
        "ID": event["id"],
        "Headers": event["headers"],
        "Payload": base64.b64encode(event["payload"].encode()).decode(),
    }
    assert ask([task, {**task, "Queue": "elsewhere"}]) == ["ok", "taskflow: unsigned or bad signature"]


def test_a_python_worker_runs_what_go_has_signed_and_archives_what_it_has_not(
    ask: Ask, peer: Peer, valkey: Server, queue: str, project: Path
) -> None:
    (project / "signing.py").write_text(
        "from taskflow import TaskFlow\n"
        f"app = TaskFlow('signing', signing_keys=['{KEY}'], retention=60)\n"
        "@app.task(name='email:deliver')\n"
        "def deliver(user_id: int) -> int:\n    return user_id\n"
    )
    ids = [str(uuid.uuid4()) for _ in range(2)]
    payload = '{"user_id":42}'
    (header,) = ask(
        [
            {
                "Do": "sign",
                "Keys": [KEY],
                "Name": "email:deliver",
                "Queue": queue,
                "ID": ids[0],
                "ContentType": "application/json",
                "Payload": base64.b64encode(payload.encode()).decode(),
            }
        ]
    )
    common = {"type": "email:deliver", "payload": payload, "queue": queue, "retention_ms": 60_000}
    peer.enqueue([{**common, "id": ids[0], "headers": {"taskflow-sig": header}}, {**common, "id": ids[1]}])
    client = TaskFlow("client", broker=valkey.url)
    with WorkerProcess("signing", directory=project, broker=valkey.url, queues={queue: 1}) as worker:
        assert client.result(ids[0], queue=queue).get(20) == 42
        worker.wait_for_log(lambda line: ids[1] in line and "archived unread: unsigned" in line)
        worker.terminate()
    client.close()
