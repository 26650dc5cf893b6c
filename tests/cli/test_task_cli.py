"""`taskflow task`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from click.testing import Result

from taskflow.broker.sync import Broker
from taskflow.states import State
from tests.inspector.stored import Stored

Cli = Callable[..., Result]


@pytest.mark.parametrize(
    ("state", "columns"),
    [
        (State.PENDING, ["ID", "Type", "Pending Since"]),
        (State.ACTIVE, ["ID", "Type", "Lease"]),
        (State.SCHEDULED, ["ID", "Type", "Process In"]),
        (State.RETRY, ["ID", "Type", "Next Retry", "Last Failed", "Retried", "Last Error"]),
        (State.ARCHIVED, ["ID", "Type", "Archived", "Retried", "Last Error"]),
        (State.COMPLETED, ["ID", "Type", "Completed", "Deleted"]),
        (State.AGGREGATING, ["ID", "Type", "Group"]),
    ],
)
def test_ls_shows_what_matters_in_a_state(cli: Cli, stored: Stored, state: State, columns: list[str]) -> None:
    stored.put(state, "t1")
    result = cli("task", "ls", "-q", stored.queue, "-s", state.value)
    assert result.exit_code == 0, result.output
    header, row = result.stdout.splitlines()
    assert [column.strip() for column in header.split("  ") if column.strip()] == columns
    assert row.split()[:2] == ["t1", "shop:pay"]


def test_payloads_and_results_are_hidden_unless_asked_for(cli: Cli, stored: Stored) -> None:
    stored.put(State.COMPLETED, "t1")
    for words in (
        ("task", "ls", "-q", stored.queue, "-s", "completed"),
        ("task", "inspect", "-q", stored.queue, "t1"),
    ):
        for shape in ((), ("--json",)):
            hidden = cli(*words, *shape)
            assert hidden.exit_code == 0
            assert "secret" not in hidden.output
            assert "paid" not in hidden.output
            assert "4111-secret" in cli(*words, *shape, "--payload").output
    assert 'Result:       "paid"' in cli("task", "inspect", "-q", stored.queue, "t1", "--payload").output


@pytest.mark.parametrize("page", ["99999999999999999999", "1000000000"])
def test_ls_of_a_page_that_no_queue_has_is_no_scripts_error(cli: Cli, stored: Stored, page: str) -> None:
    """It showed what Lua says of a number that is none any more."""
    stored.put(State.RETRY, "t1")
    result = cli("task", "ls", "-q", stored.queue, "-s", "retry", "--size", "10000", "--page", page)
    assert "script" not in result.output
    assert result.exit_code == (2 if len(page) > 10 else 0), result.output


def test_ls_pages(cli: Cli, cli_json: Callable[..., Any], stored: Stored) -> None:
    for number in range(5):
        stored.put(State.RETRY, f"t{number}")
    words = ("task", "ls", "-q", stored.queue, "-s", "retry", "--size", "2", "--page", "2")
    result = cli(*words)
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ["t2", "t3"]
    assert result.stderr == "3 to 4 of 5\n"
    found = cli_json(*words)
    assert (found["total"], found["page"], found["size"]) == (5, 2, 2)
    assert [task["id"] for task in found["tasks"]] == ["t2", "t3"]


def test_ls_of_an_empty_state(cli: Cli, stored: Stored) -> None:
    assert (
        cli("task", "ls", "-q", stored.queue, "-s", "retry").stdout
        == f"No retry tasks in queue '{stored.queue}'.\n"
    )
    empty = cli("task", "ls", "-q", stored.queue, "-s", "aggregating", "-g", "g")
    assert empty.stdout == f"No aggregating tasks in queue '{stored.queue}', group 'g'.\n"


@pytest.mark.broken_keys
def test_ls_survives_garbage_and_escapes_it(cli: Cli, stored: Stored) -> None:
    """What is stored must not move the cursor of whoever looks at it."""
    stored.put(State.PENDING, "good", type="a\x1b[2Jb\nc", payload=b"\xff\xfe")
    stored.raw.lpush(stored.keys.pending, b"\xff\x1b[31m", "bad")
    stored.raw.hset(stored.keys.task("bad"), mapping={"msg": b"\xff", "state": "pending"})
    result = cli("task", "ls", "-q", stored.queue, "-s", "pending", "--payload")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert r"a\x1b[2Jb; c" in lines[1]
    assert "(2 bytes that are no text)" in lines[1]
    assert r"\udcff\x1b[31m" in lines[2]
    assert "(missing)" in lines[2]
    assert "(unreadable)" in lines[3]


def test_inspect_has_stable_names(cli_json: Callable[..., Any], stored: Stored) -> None:
    stored.put(State.RETRY, "t1")
    found = cli_json("task", "inspect", "-q", stored.queue, "t1")
    assert (
        found.items()
        >= {
            "id": "t1",
            "queue": stored.queue,
            "state": "retry",
            "problem": None,
            "type": "shop:pay",
            "max_retries": 25,
            "retried": 1,
            "last_error": "no route",
            "timeout": 1800,
            "deadline": None,
            "retention": 0,
            "is_orphaned": False,
        }.items()
    )
    assert "payload" not in found
    with_payload = cli_json("task", "inspect", "-q", stored.queue, "-i", "t1", "--payload")
    assert with_payload["payload"] == '{"card":"4111-secret"}'
    assert (with_payload["headers"], with_payload["result"]) == ({}, None)
    stored.put(State.PENDING, "t2", payload=b"\xff")
    several = cli_json("task", "inspect", "-q", stored.queue, "t1", "-i", "t2", "--payload")
    assert [task["id"] for task in several] == ["t1", "t2"]
    assert (several[1]["payload"], several[1]["payload_base64"]) == (None, "/w==")


def test_inspect_as_text(cli: Cli, stored: Stored) -> None:
    stored.put(State.RETRY, "t1")
    result = cli("task", "inspect", "-q", stored.queue, "t1")
    shown = dict(line.split(":", 1) for line in result.stdout.splitlines())
    assert shown["State"].strip() == "retry"
    assert shown["Retried"].strip() == "1/25"
    assert shown["Timeout"].strip() == "30m"
    assert "in 9m" in shown["Next process time"] or "in 10m" in shown["Next process time"]


def test_inspect_says_until_when_a_task_may_start(
    cli: Cli, cli_json: Callable[..., Any], stored: Stored
) -> None:
    """By its option `expires`. Once it has started that does not matter any more."""
    stored.put(State.PENDING, "t1")
    stored.raw.hset(stored.keys.task("t1"), "expires", "1893456000.5")
    words = ("task", "inspect", "-q", stored.queue, "t1")
    shown = dict(line.split(":", 1) for line in cli(*words).stdout.splitlines())
    assert shown["To start by"].strip() == "2030-01-01 00:00:00 UTC"
    assert cli_json(*words)["start_until"].startswith("2030-01-01T00:00:00.5")
    stored.raw.hset(stored.keys.task("t1"), "expires", "soon")
    assert cli_json(*words)["start_until"] is None


def test_orders(cli: Cli, stored: Stored) -> None:
    stored.put(State.SCHEDULED, "t1")
    assert cli("task", "run", "-q", stored.queue, "t1").stdout == "Task 't1' is pending.\n"
    assert cli("task", "archive", "-q", stored.queue, "-i", "t1").stdout == "Task 't1' is archived.\n"
    assert cli("task", "delete", "t1", "--queue", stored.queue).stdout == "Task 't1' is deleted.\n"
    assert stored.is_nowhere("t1")


def test_one_refusal_does_not_stop_the_others(cli: Cli, stored: Stored) -> None:
    stored.put(State.ACTIVE, "t1")
    stored.put(State.RETRY, "t2")
    result = cli("task", "delete", "-q", stored.queue, "none", "t1", "t2")
    assert result.exit_code == 2
    assert result.stdout == "Task 't2' is deleted.\n"
    first, second = result.stderr.splitlines()
    assert first == f"Error: queue '{stored.queue}' has no task 'none'"
    assert second.startswith(f"Error: task 't1' of queue '{stored.queue}' is active, so it cannot be deleted")


def test_an_order_needs_an_id(cli: Cli, stored: Stored) -> None:
    result = cli("task", "run", "-q", stored.queue)
    assert result.exit_code == 2
    assert "which task?" in result.stderr


def test_cancel_archives_what_waits_and_tells_who_runs_the_rest(cli: Cli, stored: Stored) -> None:
    stored.put(State.ACTIVE, "cancel-t1")
    listener = stored.raw.pubsub()
    listener.subscribe(stored.keys.cancels)
    listener.get_message(timeout=5)
    for words in ((), ("-q", stored.queue)):
        stored.put(State.PENDING, f"cancel-t2{len(words)}")
        assert cli("task", "cancel", *words, "cancel-t1", f"cancel-t2{len(words)}").stdout == (
            "Task 'cancel-t1' runs: whoever runs it is told to end it.\n"
            f"Task 'cancel-t2{len(words)}' is cancelled.\n"
        )
        assert listener.get_message(timeout=5)["data"].endswith(b"  cancel-t1")
        again = cli("task", "cancel", *words, f"cancel-t2{len(words)}")
        assert again.stdout == f"Task 'cancel-t2{len(words)}' has ended already.\n"
    # Go's clients may leave a queue out of the index.
    listener.unsubscribe()
    listener.subscribe("asynq:cancel")
    while listener.get_message(timeout=5)["data"] != 1:
        pass
    unseen = cli("task", "cancel", "cancel-t3")
    assert unseen.exit_code == 0
    assert unseen.stdout == (
        "No queue that is listed has task 'cancel-t3'. Workers are told to cancel it, should one run it.\n"
    )
    assert listener.get_message(timeout=5)["data"] == b"cancel-t3"
    refused = cli("task", "cancel", "-q", stored.queue, "cancel-t3")
    assert refused.exit_code == 2
    assert "has no task 'cancel-t3'" in refused.stderr
    listener.close()


def test_cancel_counts_what_matches_and_asks_before_it_goes_on(
    cli: Cli, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        stored.put(State.SCHEDULED, f"s{number}")
    stored.put(State.PENDING, "p1")
    words = ("task", "cancel", "-q", stored.queue, "-s", "scheduled")
    assert "nobody can be asked here" in cli(*words).stderr
    monkeypatch.setattr("taskflow.cli.task_cancel.can_ask", lambda: True)
    asked = cli(*words, stdin="n\n")
    assert asked.stdout.startswith("3 tasks are waiting, 0 running.\nCancel them?")
    assert (asked.exit_code, len(stored.ids(State.SCHEDULED))) == (1, 3)
    done = cli(*words, "--yes")
    assert done.stdout.splitlines()[-1] == "3 tasks are cancelled, 0 told to end."
    assert stored.ids(State.PENDING) == ["p1"]
    assert cli(*words, "--yes").stdout == "No task matches.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which tasks?"),
        (("-q", "q"), "which tasks?"),
        (("id", "--name", "x"), "which tasks?"),
        (("--name", "x"), "in which queue?"),
        (("--name", "x", "-q", "q", "--all-queues"), "in which queue?"),
        (("--all-queues",), "all tasks of all queues?"),
        (("--header", "x", "-q", "q"), "takes NAME=VALUE"),
        (("--terminate", "-1", "id"), "-1"),
    ],
)
def test_a_cancel_that_does_not_say_of_what_is_refused(cli: Cli, words: tuple[str, ...], said: str) -> None:
    refused = cli("task", "cancel", *words)
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_a_task_is_found_by_its_id_alone(cli: Cli, stored: Stored, broker: Broker, raw: redis.Redis) -> None:
    """The log and an error name the id; which of forty queues it is in, one had to know."""
    other = Stored(broker, raw, f"{stored.queue}-other")
    for task_id in ("one", "two", "three", "twice"):
        stored.put(State.RETRY, task_id)
    other.put(State.RETRY, "twice")
    other.put(State.RETRY, "four")
    shown = cli("task", "inspect", "one", "four")
    assert shown.exit_code == 0
    assert f"Queue:             {stored.queue}\n" in shown.stdout
    assert f"Queue:             {other.queue}\n" in shown.stdout
    assert cli("task", "run", "one").stdout == "Task 'one' is pending.\n"
    assert cli("task", "archive", "two").stdout == "Task 'two' is archived.\n"
    assert (
        cli("task", "delete", "three", "four").stdout == "Task 'three' is deleted.\nTask 'four' is deleted.\n"
    )
    ambiguous = cli("task", "delete", "twice")
    assert ambiguous.exit_code == 2
    assert ambiguous.stderr == (
        f"Error: task 'twice' is in the queues '{stored.queue}', '{other.queue}'; name one, with -q or queue=\n"
    )
    assert cli("task", "inspect", "-q", other.queue, "twice").exit_code == 0
    missing = cli("task", "inspect", "three")
    assert missing.exit_code == 2
    assert missing.stderr.startswith("Error: no queue that is listed has a task 'three'")


def test_ls_shows_headers_and_results_if_they_are_asked_for(cli: Cli, stored: Stored) -> None:
    """`--payload` promised arguments, headers and results, and showed arguments."""
    stored.put(State.COMPLETED, "t1")
    stored.raw.hset(
        stored.keys.task("t1"),
        "msg",
        stored.message("t1", headers={"trace": "abc", "user": "7"}, retention=600).encode(),
    )
    words = ("task", "ls", "-q", stored.queue, "-s", "completed")
    header, row = cli(*words, "--payload").stdout.splitlines()
    assert header.split()[-3:] == ["Payload", "Headers", "Result"]
    assert row.endswith('{"card":"4111-secret"}  trace=abc, user=7  "paid"')
    assert "abc" not in cli(*words).stdout


def test_orders_for_a_state(cli: Cli, stored: Stored) -> None:
    for number in range(3):
        stored.put(State.RETRY, f"t{number}")
        stored.put(State.AGGREGATING, f"a{number}", group=f"g{number}")
    queue = ("-q", stored.queue)
    assert cli("task", "runall", *queue, "-s", "retry").stdout == "3 tasks are pending.\n"
    assert cli("task", "archiveall", *queue, "-s", "pending").stdout == "3 tasks are archived.\n"
    assert cli("task", "deleteall", *queue, "-s", "archived").stdout == "3 tasks are deleted.\n"
    assert cli("task", "deleteall", *queue, "-s", "aggregating", "-g", "g0").stdout == "1 task is deleted.\n"
    assert cli("task", "runall", *queue, "-s", "aggregating").stdout == "2 tasks are pending.\n"


@pytest.mark.parametrize(
    "words",
    [
        ("task", "ls", "-q", "q", "-s", "waiting"),
        ("task", "ls", "-s", "pending"),
        ("task", "ls", "-q", "q"),
        ("task", "ls", "-q", "q", "-s", "pending", "--page", "0"),
        ("task", "ls", "-q", "q", "-s", "pending", "-g", "g"),
        ("task", "runall", "-q", "q", "-s", "active"),
        ("task", "archiveall", "-q", "q", "-s", "completed"),
        ("task", "deleteall", "-q", "q", "-s", "active"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_a_usage_error(cli: Cli, words: tuple[str, ...]) -> None:
    result = cli(*words)
    assert result.exit_code == 2
    assert "Usage: taskflow task" in result.stderr or "Usage: main task" in result.stderr
