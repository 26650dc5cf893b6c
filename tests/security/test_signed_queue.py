"""A worker with a signing key runs what was signed, and archives everything else unread."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskflow import errors
from taskflow.message.message_crypto import CLOUDPICKLE, CONTENT_TYPE_HEADER, MessageCrypto
from taskflow.message.signing import RESULT_SIGNATURE_HEADER, SIGNATURE_HEADER, SigningKeys
from taskflow.message.task_message import TaskMessage
from tests.security.conftest import Stored
from tests.security.keys import OLD_SIGNING, OTHER_SIGNING, SIGNING
from tests.workers import WorkerProcess

Worker = Callable[..., WorkerProcess]

OURS = MessageCrypto(SigningKeys([SIGNING.encode()]))
THEIRS = MessageCrypto(SigningKeys([OTHER_SIGNING.encode()]))


def message(queue: str, task_id: str = "forged", **fields: Any) -> TaskMessage:
    return TaskMessage(
        **{
            "type": "add",
            "payload": b'{"first":1}',
            "id": task_id,
            "queue": queue,
            "timeout": 60,
            "retention": 60,
            **fields,
        }
    )


def test_runs_what_it_signed_and_what_an_older_key_signed(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    stored.push(MessageCrypto(SigningKeys([OLD_SIGNING.encode()])).close(message(queue, "older")))
    with worker("signed"):
        results = apps.signed.tasks["echo"].options(queue=queue).map([("a",), ("b",)]).results
        assert [result.get(20) for result in results] == ["a", "b"]
        assert apps.signed.result("older", queue=queue).get(20) == 3
    headers = stored.message(results[0].id).headers
    assert headers.keys() == {SIGNATURE_HEADER, RESULT_SIGNATURE_HEADER}


def test_a_retry_keeps_its_signature(apps: Any, worker: Worker, queue: str) -> None:
    with worker("signed"):
        assert apps.signed.tasks["fail_and_retry"].options(queue=queue).delay("again").get(20) == "again"


FORGERIES: dict[str, tuple[str, Callable[[str], tuple[TaskMessage, str]]]] = {
    "unsigned": ("unsigned", lambda queue: (message(queue), "forged")),
    "signed with another key": ("bad signature", lambda queue: (THEIRS.close(message(queue)), "forged")),
    "another payload": (
        "bad signature",
        lambda queue: (replace(OURS.close(message(queue)), payload=b'{"first":999}'), "forged"),
    ),
    "another task": (
        "bad signature",
        lambda queue: (replace(OURS.close(message(queue)), type="echo"), "forged"),
    ),
    "from another queue": (
        "bad signature",
        lambda queue: (OURS.close(message("elsewhere")), "forged"),
    ),
    "from another queue, its queue rewritten": (
        "bad signature",
        lambda queue: (replace(OURS.close(message("elsewhere")), queue=queue), "forged"),
    ),
    "under another id": ("bad signature", lambda queue: (OURS.close(message(queue, "first")), "forged")),
    "under another id, its id rewritten": (
        "bad signature",
        lambda queue: (replace(OURS.close(message(queue, "first")), id="forged"), "forged"),
    ),
    "signed for this place, and says another id": (
        "bad signature",
        lambda queue: (replace(OURS.close(message(queue)), id="order-18"), "forged"),
    ),
    "signed for this place, and says another queue": (
        "bad signature",
        lambda queue: (replace(OURS.close(message(queue)), queue="elsewhere"), "forged"),
    ),
    "a name that nobody knows": (
        "unsigned",
        lambda queue: (message(queue, type="from:the:future"), "forged"),
    ),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_archives_unread_what_was_not_signed_for_this_place(
    apps: Any, worker: Worker, stored: Stored, queue: str, kind: str
) -> None:
    reason, forge = FORGERIES[kind]
    forged, task_id = forge(queue)
    stored.push(forged, task_id)
    with worker("signed") as process:
        assert apps.signed.tasks["echo"].options(queue=queue).delay("after").get(20) == "after"
        task = stored.wait_for(task_id, "archived")
        line = process.wait_for_log("archived unread")
    kept = stored.message(task_id)
    assert kept.error_msg.startswith(f"{reason}: ")
    assert json.loads(task[b"error"]) == {"type": "SignatureError"}
    assert (kept.payload, kept.headers, kept.type) == (forged.payload, forged.headers, forged.type)
    assert b"result" not in task
    assert f"Task {task_id} in queue {queue}" in line
    assert reason in line
    assert "(1 so far in this process)" in line
    with pytest.raises(errors.TaskFailed, match=reason):
        apps.signed.result(task_id, queue=queue).get(25)


@pytest.mark.parametrize("name", ["place", "aplace"])
def test_a_task_is_told_under_which_id_it_is_stored_whatever_its_message_says(
    apps: Any, worker: Worker, stored: Stored, queue: str, name: str
) -> None:
    """`current_task().id`, logs and the record of what runs came from the message. Who keeps a table of the ids that it has
    done was told that order-17 is order-18. (Without keys anybody may enqueue anything, but not under another's name; the
    second of a kind takes a shorter way through the child.)"""
    for number in range(3):
        forged = message(queue, f"order-{number}", type=name, payload=b"{}", timeout=1800)
        stored.push(
            replace(forged, id="order-18", queue="elsewhere") if number != 1 else forged, f"order-{number}"
        )
    with worker("plain", concurrency=1) as process:
        for number in range(3):
            told = apps.plain.result(f"order-{number}", queue=queue).get(20)
            assert told == [f"order-{number}", queue]
            process.wait_for_log(f"Task {name}[order-{number}] succeeded")
    assert not [line for line in process.log if "order-18" in line or "elsewhere" in line]
    kept = stored.message("order-0")
    assert (kept.id, kept.queue) == (
        "order-18",
        "elsewhere",
    )  # what was there stays for whoever looks into it


@pytest.mark.parametrize("app", ["encrypted", "sealed"])
def test_a_message_that_says_another_id_is_refused_where_any_key_is_set(
    apps: Any, worker: Worker, stored: Stored, queue: str, app: str
) -> None:
    echo = getattr(apps, app).tasks["echo"].options(queue=queue, id="order-17")
    result = echo.delay("a")
    moved = replace(stored.message("order-17"), id="order-18")
    stored.raw.hset(stored.key("order-17"), "msg", moved.encode())
    with worker(app), pytest.raises(errors.TaskFailed, match="names another id or queue"):
        result.get(20)


def test_counts_what_it_refuses_in_the_log(apps: Any, worker: Worker, stored: Stored, queue: str) -> None:
    for number in range(5):
        stored.push(message(queue, f"forged-{number}"))
    with worker("signed", log_format="json", ready=False) as process:
        process.wait_for_log(lambda line: '"refused": 5' in line)
        event = json.loads(process.wait_for_log(lambda line: '"refused": 1' in line))
    assert event["reason"] == "unsigned"
    assert event["level"] == "error"
    assert event["queue"] == queue


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("app", ["signed", "plain", "encrypted"])
def test_nothing_is_unpickled_without_a_signature_of_ours(
    apps: Any, worker: Worker, stored: Stored, queue: str, tmp_path: Path, app: str
) -> None:
    """Whatever name, content type and signature of somebody else it comes with. (The last one, signed by us,
    shows that the bomb works.)"""
    bomb = tmp_path / "went-off"
    payload = b"cpython-311\n" + pickle.dumps(Bomb(bomb))
    pickled = {CONTENT_TYPE_HEADER: CLOUDPICKLE}
    unsigned = message(queue, type="taskflow:call", payload=payload, headers=pickled)
    elsewhere = OURS.close(replace(unsigned, queue="elsewhere"))
    for number, forged in enumerate(
        (
            unsigned,
            replace(unsigned, headers={}),
            replace(unsigned, type="echo"),
            replace(unsigned, type="echo", headers={}),
            replace(unsigned, payload=pickle.dumps(Bomb(bomb))),
            replace(unsigned, headers={**pickled, SIGNATURE_HEADER: "v1:00000000:AAAA"}),
            THEIRS.close(unsigned),
            replace(elsewhere, queue=queue),
            replace(
                OURS.close(message(queue)),
                payload=payload,
                headers={**pickled, **OURS.close(message(queue)).headers},
            ),
            replace(OURS.close(message(queue)), type="taskflow:call", payload=payload),
        )
    ):
        stored.push(forged, f"forged-{number}")
    with worker(app) as process:
        assert getattr(apps, app).tasks["echo"].options(queue=queue).delay("after").get(20) == "after"
        process.terminate()
    assert not bomb.exists()
    assert stored.count("archived") + stored.count("scheduled") + stored.count("pending") == 10
    if app == "signed":
        assert stored.count("archived") == 10
        with worker(app):
            stored.push(
                OURS.close(message(queue, "ours", type="taskflow:call", payload=payload, headers=pickled))
            )
            stored.wait_for("ours", "archived")
        assert bomb.exists()


def test_nothing_that_data_names_is_imported(
    apps: Any, worker: Worker, stored: Stored, queue: str, project: Path
) -> None:
    """Neither as a task's name, nor as an exception's, nor as a pickle's."""
    (project / "trap.py").write_text("open('imported', 'w').close()\n")
    (project / "shop.py").write_text("from tests.security.app import plain, signed\n")
    for number, forged in enumerate(
        (
            message(queue, type="trap.task"),
            message(queue, type="trap:task"),
            message(queue, type="trap"),
            message(queue, payload=b'{"first":{"__class__":"trap.X","py/object":"trap.X"}}'),
            message(queue, payload=b"ctrap\nx\n."),
            message(queue, type="taskflow:call", payload=b"cpython-311\nctrap\nx\n."),
        )
    ):
        stored.push(forged, f"trap-{number}", error='{"type": "trap.Error", "text": "x"}')
    for app in ("plain", "signed"):
        with WorkerProcess(
            f"shop:{app}", directory=project, broker=stored_url(stored), queues={queue: 1}
        ) as process:
            result = getattr(apps, app).tasks["echo"].options(queue=queue).delay("after")
            assert result.get(20) == "after"
            process.terminate()
    assert not (project / "imported").exists()


@pytest.mark.broken_keys
def test_an_error_that_names_a_function_comes_back_as_text(
    apps: Any, stored: Stored, raw: Any, queue: str
) -> None:
    """CVE-2021-23727 in Celery: a forged failure whose exception type was `os.system`."""
    text = "os.system('touch went-off')"
    stored.push(
        message(queue, error_msg=text),
        error='{"type": "os.system", "text": "touch went-off"}',
        state="archived",
    )
    with pytest.raises(errors.TaskFailed) as raised:
        apps.plain.result("forged", queue=queue).get(25)
    assert raised.value.text == text
    assert type(raised.value) is errors.TaskFailed
    assert raised.value.__cause__ is None


def stored_url(stored: Stored) -> str:
    return f"redis://127.0.0.1:{stored.raw.connection_pool.connection_kwargs['port']}"
