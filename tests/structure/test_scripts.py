"""The Lua scripts, their heads, and the builders of their commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from taskflow.broker import scripts
from taskflow.broker.command import Command, Plain
from taskflow.broker.commands import (
    admin,
    aggregate,
    cancel,
    dequeue,
    enqueue,
    finish,
    forget,
    guards,
    hand_over,
    inspect,
    maintenance,
    outbox,
    partitions,
    queues,
    records,
    repairs,
    report,
    sweep,
)
from taskflow.broker.keys import queue_keys
from taskflow.broker.words import WORDS, Enqueued
from taskflow.connection.topology import key_slot
from taskflow.message.outcome import AttemptRecord, FollowUp, Outcome
from taskflow.message.ready import ReadyTask
from taskflow.message.report import Chunk, Report
from taskflow.message.task_message import TaskMessage
from taskflow.states import MOVES, State, Verb

FOLDER = Path(scripts.__file__).parent
TEXTS = sorted(FOLDER.glob("**/*.lua"))
QUEUE = "shop:images"
KEYS = queue_keys(QUEUE)
OWNER = "host:1:5a0c"
GUARDS = {"never"}
"""Keys that are only to be named: see docs/storage.md."""
UNSAID: dict[type[Enum], set[str]] = {
    Enqueued: {"DUPLICATE"},  # the reply is the id that holds the lock
}


def new_task(task_id: str, *, unique: bool = False, group: str = "", **when: float) -> enqueue.NewTask:
    lock = KEYS.unique_prefix + "images:resize:0cc1" if unique else ""
    message = TaskMessage(
        type="images:resize", payload=b"{}", id=task_id, queue=QUEUE, unique_key=lock, group_key=group
    )
    return enqueue.NewTask(message, lock_seconds=60 if unique else 0, **when)


REPORT = Report(1, 1, '[1, 2, "", 3.5, 1]', (Chunk(1, "[]"),))
READY = ReadyTask("r", QUEUE, "images:resize", b"message", "r")
FOLLOWERS = (FollowUp(QUEUE, "f1", b"message"), FollowUp(QUEUE, "f2", b"message", 1_800_000_000.5))


def ended(task_id: str, verb: Verb, lock: str = "", token: str = "0" * 16) -> tuple[dequeue.Taken, Outcome]:
    attempt = AttemptRecord(1.0, 2.0, "ValueError", "builtins", "boom", "in charge")
    return dequeue.Taken(task_id, b"m", token), Outcome(
        0, verb, b"message", 1.5, b"{}", "why", lock, 3.0, attempt
    )


# The builders of commands, each with the arguments that make it longest: every kind of item at once.
BUILDERS: dict[str, Callable[[], Any]] = {
    "enqueue": lambda: enqueue.enqueue(
        QUEUE,
        [
            new_task("now"),
            new_task("unique", unique=True),
            new_task("delayed", delay=5.0),
            new_task("unique-at", unique=True, process_at=1_800_000_000.5),
            new_task("grouped", group="a group"),
            new_task("unique-grouped", unique=True, group="a group"),
        ],
    ),
    "dequeue": lambda: dequeue.dequeue(QUEUE, OWNER, "token", 20),
    "ripe": lambda: aggregate.ripe(QUEUE, "g", grace=1, max_delay=2, max_size=3),
    "join": lambda: aggregate.join(
        QUEUE,
        "g",
        TaskMessage(type="t", payload=None, id="j", queue=QUEUE, timeout=1),
        [aggregate.Waiting("a", b"1"), aggregate.Waiting("b", b"2")],
    ),
    "refuse": lambda: aggregate.refuse(
        QUEUE,
        "g",
        [
            (
                aggregate.Waiting("a", b"1"),
                Outcome(0, Verb.ARCHIVE, b"message", error="why", failure_retention=0),
            ),
            (aggregate.Waiting("b", b"2"), Outcome(0, Verb.PUT_BACK, delay=1.5)),
        ],
        1_800_000_000,
    ),
    "held": lambda: dequeue.held(QUEUE, OWNER),
    "extend": lambda: dequeue.extend(
        QUEUE, [dequeue.Taken("a", b"", "0" * 16), dequeue.Taken("b", b"", "1" * 16)]
    ),
    "finish": lambda: finish.finish(
        QUEUE,
        [
            *(ended(verb.name, verb) for verb in Verb),
            (dequeue.Taken("s", b"m", "0" * 16), Outcome(0, Verb.DONE, said=(REPORT,))),
            ended("of-another-batch", Verb.DONE, token="1" * 16),
            (dequeue.Taken("t", b"m", "0" * 16), Outcome(0, Verb.DONE, then=FOLLOWERS)),
            ended("own-lock", Verb.DONE, KEYS.unique_prefix + "images:resize:0cc1"),
            ended("foreign-lock", Verb.DONE, "asynq:{other}:unique:images:resize:0cc1"),
        ],
        1_800_000_000,
    ),
    "report": lambda: report.report(
        QUEUE,
        [
            (dequeue.Taken("a", b"m", "0" * 16), (REPORT,)),
            (dequeue.Taken("b", b"m", "1" * 16), (REPORT, REPORT)),
        ],
    ),
    "deliver": lambda: outbox.deliver(QUEUE, FOLLOWERS, 1_800_000_000),
    "confirm": lambda: outbox.confirm(QUEUE, ["one", "two"]),
    "overdue": lambda: outbox.overdue(QUEUE, 5, [("away", 3.0)]),
    "hand_over": lambda: hand_over.hand_over(
        QUEUE,
        [
            READY,
            msgspec.structs.replace(
                READY, id="u", lock=KEYS.unique_prefix + "images:resize:0cc1", lock_seconds=60
            ),
            msgspec.structs.replace(READY, id="g", group="a group"),
        ],
        1_800_000_000,
    ),
    "note_partitions": lambda: partitions.note_count(QUEUE, 6, 60),
    "forward": lambda: maintenance.forward(QUEUE),
    "recover": lambda: maintenance.recover(QUEUE),
    "expire": lambda: maintenance.expire(QUEUE),
    "hold_guard": lambda: guards.hold_guard(QUEUE, "janitor", OWNER, 10.0),
    "pause": lambda: queues.pause(QUEUE),
    "resume": lambda: queues.resume(QUEUE),
    "remove_queue": lambda: queues.remove_step(QUEUE, force=True),
    "remove_keys": lambda: queues.remove_keys(QUEUE, [KEYS.orphans.encode(), KEYS.task("a").encode()]),
    "cancel": lambda: cancel.cancel(QUEUE, ["a", "b"], 5.0),
    "run_tasks": lambda: admin.run_tasks(QUEUE, ["a", "b"]),
    "archive_tasks": lambda: admin.archive_tasks(QUEUE, ["a", "b"]),
    "delete_tasks": lambda: admin.delete_tasks(QUEUE, ["a", "b"]),
    "forget": lambda: forget.forget(QUEUE, ["a", "b"]),
    "run_all": lambda: admin.run_all(QUEUE, State.RETRY),
    "run_all of a group": lambda: admin.run_all(QUEUE, State.AGGREGATING, "a group"),
    "archive_all": lambda: admin.archive_all(QUEUE, State.PENDING),
    "archive_all of a group": lambda: admin.archive_all(QUEUE, State.AGGREGATING, "a group"),
    "delete_all": lambda: admin.delete_all(QUEUE, State.COMPLETED),
    "delete_all of a group": lambda: admin.delete_all(QUEUE, State.AGGREGATING, "a group"),
    "queue_counts": lambda: inspect.count_queue(QUEUE, "2026-11-24"),
    "list_groups": lambda: inspect.list_groups(QUEUE),
    "list_tasks": lambda: inspect.list_tasks(QUEUE, State.ACTIVE, 0, 30),
    "list_tasks of a group": lambda: inspect.list_aggregating(QUEUE, KEYS.group("a group"), 0, 30),
    "task_row": lambda: inspect.read_row(QUEUE, "a"),
    "survey": lambda: sweep.survey(
        QUEUE, [sweep.Source("pending"), sweep.Source("aggregating", 0, "a group")], cursor="0"
    ),
    "repair": lambda: sweep.repair(
        QUEUE,
        [
            repairs.RepairItem("a", "active", "0" * 40),
            repairs.RepairItem("b", KEYS.group("a group"), expires_at=9),
        ],
    ),
    "reclaim": lambda: sweep.reclaim(QUEUE, ["a group"]),
    "release_locks": lambda: sweep.release_locks(QUEUE, [KEYS.unique_prefix + "images:resize:0cc1"]),
    "read_states": lambda: sweep.read_states(QUEUE, ["a", "b"]),
    "record_server": lambda: records.write_server("host", 1, "5a0c", b"info", [("a", b"running")], 1.0),
}


def commands(built: Any) -> Iterator[Command[Any]]:
    """The script calls among what a builder gives: a builder may also give plain commands, or several."""
    for one in built if isinstance(built, list) else [built]:
        assert isinstance(one, Command | Plain)
        if isinstance(one, Command):
            yield one


@pytest.mark.parametrize("name", scripts.names())
def test_a_script_makes_only_legal_moves(name: str) -> None:
    """What the head says under `moves:` stands in the table of states."""
    script = scripts.load(name)

    assert script.moves <= MOVES


def test_every_legal_move_is_made_by_some_script() -> None:
    """A move in the table that nobody makes is a promise that nobody keeps."""
    made: set[tuple[str, str]] = set().union(*(scripts.load(name).moves for name in scripts.names()))

    assert made == MOVES


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_script_calls_its_keys_and_arguments_by_name(path: Path) -> None:
    """The loader turns the head into named locals: a number would silently be another key tomorrow."""
    assert not re.findall(r"\b(?:KEYS|ARGV)\s*\[\s*\d", path.read_text())


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS.keys())
def test_every_word_is_said_by_some_script(words: type[Enum]) -> None:
    """A word that no script says is left over, or one is said by its number somewhere."""
    said = {
        match[1]
        for path in TEXTS
        for match in re.finditer(rf"\b{words.__name__}\.([A-Z_]+)\b", path.read_text())
    }

    assert words.__members__.keys() - said == UNSAID.get(words, set())


@pytest.mark.parametrize("name", scripts.names())
def test_a_script_uses_everything_that_its_head_names(name: str) -> None:
    """A key or an argument that is only named is one that a builder gives for nothing."""
    script = scripts.load(name)
    code = "\n".join(
        line for line in script.source.splitlines() if not re.match(r"local \w+ = \w+\[\d+\]$", line)
    )

    read = re.sub(r"local [\w, ]+ = (ARGV\[\w+( \+ \d+)?\](, )?)+", "", code)
    rests = [f"{script.rest_keys}_keys_from"] if script.rest_keys else []
    rests += [f"{script.rest_args}_argv_from"] if script.rest_args else []
    parts = [part for names in script.items.values() for part in names]
    for used in (*({*script.keys} - GUARDS), *script.args, *rests, *parts):
        assert re.search(rf"\b{used}\b", read), f"{name}.lua never uses {used}"


@pytest.mark.parametrize("name", scripts.names())
def test_a_script_says_what_it_does_in_its_first_line(name: str) -> None:
    first = (FOLDER / f"{name}.lua").read_text().splitlines()[0]

    assert re.match(r"-- [A-Z].*\.$", first)


def test_every_script_has_a_builder_here() -> None:
    """A new script gets a row in the table above, and with it the checks below."""
    built = {command.script.name for build in BUILDERS.values() for command in commands(build())}

    assert built == set(scripts.names())


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS.keys())
def test_a_builder_fits_the_head_of_its_script(build: Callable[[], Any]) -> None:
    for command in commands(build()):
        command.script.check(len(command.keys), len(command.args))


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS.keys())
def test_all_keys_of_a_command_are_on_the_slot_that_it_names(build: Callable[[], Any]) -> None:
    """A cluster refuses a script whose keys are on two slots."""
    for command in commands(build()):
        slots = {key_slot(key if isinstance(key, str) else bytes(key).decode()) for key in command.keys}

        assert slots == {command.slot}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS.keys())
def test_the_flag_of_a_repetition_is_the_argument_resent(build: Callable[[], Any]) -> None:
    """The retry loop raises `args[resend_flag]`; a script without it must be idempotent by itself."""
    for command in commands(build()):
        assert ("resent" in command.script.args) == (command.resend_flag >= 0)
        if command.resend_flag >= 0:
            assert command.script.args[command.resend_flag] == "resent"
            assert command.args[command.resend_flag] == 0
            assert command.wire(full=False, resent=True)[3 + len(command.keys) + command.resend_flag] == 1


def test_a_lock_of_another_queue_is_not_among_the_keys_of_finish() -> None:
    """A message may name any key as its lock; deleting it is not ours, and it may be on another slot."""
    (command,) = commands(BUILDERS["finish"]())

    assert [key for key in command.keys if ":unique:" in key] == [KEYS.unique_prefix + "images:resize:0cc1"]


@pytest.mark.parametrize("name", scripts.names())
def test_a_server_can_compile_the_script(name: str, raw: redis.Redis) -> None:
    """And it is known there by the very SHA-1 that EVALSHA is sent with."""
    script = scripts.load(name)

    assert raw.script_load(script.source) == script.sha


def test_what_drains_a_full_server_may_run_when_it_is_full() -> None:
    """Everything but enqueue, deliver, hand_over (and what only reads) carries `allow-oom`."""
    refused = {
        name for name in scripts.names() if "allow-oom" not in scripts.load(name).source.splitlines()[0]
    }
    writing = {name for name in refused if scripts.load(name).moves}

    assert writing == {"deliver", "enqueue", "hand_over"}
