"""What catches everything stands where the rule of CONTRIBUTING.md says, and nowhere else.

A handler counts that catches `Exception` or `BaseException` (or `suppress` of them) and does not end with a `raise`.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "taskflow"
BROAD = {"Exception", "BaseException"}


class Place(Enum):
    """The places that the rule allows."""

    USER_CODE = "around the user's code: functions, policies, values that show, compare or pickle themselves"
    LISTENER = "around a listener of events, or a log handler"
    GOES_ON = "around a round, or a step, of what must go on: a loop, a thread, what owns tasks"
    CHILD_STARTS = "around the start of a child"
    HANDED_OVER = "where the error is handed to whoever waits, and raised there"


ALLOWED: dict[str, tuple[Place, str]] = {
    "asking._ask_one": (
        Place.HANDED_OVER,
        "the answer of one node, whatever it is, must not keep those of the others",
    ),
    "bulk.Loader.load": (
        Place.HANDED_OVER,
        "the user's iterable raised; what it gave before that is sent first",
    ),
    "names._Lookup.run": (Place.HANDED_OVER, "the resolver is asked by a thread of its own"),
    "called_here._caught": (Place.HANDED_OVER, "raised again where the function was called"),
    "loop._answered": (Place.HANDED_OVER, "a coroutine ended on the loop; its thread decides"),
    "solo._Solo._run_worker": (
        Place.HANDED_OVER,
        "the worker's thread ended; the command is told by the main thread",
    ),
    "relay.Relay.run": (
        Place.GOES_ON,
        "whatever a round of the outbox met, the next may do better, and nobody else delivers",
    ),
    "outgoing._frame": (
        Place.USER_CODE,
        "one outcome may hold what cannot be written; the others of its batch are sent",
    ),
    "process.flush": (Place.USER_CODE, "the streams may be the user's; the process ends all the same"),
    "process.end": (Place.USER_CODE, "functions that the user has registered with `atexit`"),
    "outcome.text_of": (Place.USER_CODE, "the exception's `__str__`; the attempt still needs its verdict"),
    "after.after": (Place.USER_CODE, "the hooks of a task's class; the verdict has been given"),
    "failure.original_of": (Place.USER_CODE, "a constructor of the user's; then it is a TaskFailed"),
    "tracebacks._said": (Place.USER_CODE, "the exception's `__str__`; the attempt still needs its verdict"),
    "tracebacks._notes": (Place.USER_CODE, "the exception's own attributes"),
    "tracebacks._source": (Place.USER_CODE, "an importer of the user's gives the source"),
    "judge.Judge.failed": (Place.USER_CODE, "the retry policy; the task is archived"),
    "run.Pipeline._start": (Place.USER_CODE, "validators of the arguments"),
    "run.Pipeline._succeed": (Place.USER_CODE, "the result's own code; the task has run, so it is archived"),
    "run.Pipeline.arun": (Place.USER_CODE, "the task"),
    "log_lines.TaskLogHandler.emit": (
        Place.LISTENER,
        "a log handler; what it cannot format is said as logging says it",
    ),
    "task_reports.ReportDesk.ended": (
        Place.GOES_ON,
        "what a task has said last cannot be written; it has its verdict all the same",
    ),
    "task_reports.ReportDesk._run": (Place.GOES_ON, "the thread that hands on what the tasks of a child say"),
    "run.Pipeline.open": (
        Place.USER_CODE,
        "one member of a group may be anything; its neighbours are joined",
    ),
    "run.Pipeline.receive": (
        Place.USER_CODE,
        "what is stored may be anything; the child must not end over it",
    ),
    "run.Pipeline.run": (Place.USER_CODE, "the task"),
    "traces._single": (
        Place.USER_CODE,
        "an exception's class may be the user's, and do anything when it is made",
    ),
    "middleware._async_observing.arun": (Place.LISTENER, "a middleware that only looks on"),
    "middleware._observing.run": (Place.LISTENER, "a middleware that only looks on"),
    "telling._say": (Place.LISTENER, "the listener's name, which is told when it failed"),
    "lifecycle.Lifecycle._call_all": (Place.USER_CODE, "a hook; the others are called"),
    "lifecycle.Lifecycle.start": (Place.HANDED_OVER, "a hook of the start; the worker is told"),
    "depends.dependencies_of": (Place.USER_CODE, "an annotation names what may come later"),
    "resources.closing_failed": (Place.USER_CODE, "the close of a resource; the others are closed"),
    "telling.emit_to": (Place.LISTENER, "a listener"),
    "telling.emit": (Place.LISTENER, "a listener"),
    "logs._plain": (Place.USER_CODE, "the `__str__` of a value in a log line"),
    "safe.SafeLogger.log": (Place.LISTENER, "a log handler"),
    "acker.Acker._takes_others": (
        Place.GOES_ON,
        "any error of the probe means that the queue takes no outcomes now",
    ),
    "acker.Acker._write": (Place.GOES_ON, "an outcome is written or handed on, whatever the writing raises"),
    "building.Builder._build": (Place.GOES_ON, "a child's thread that builds messages"),
    "building.Builder._tidy": (Place.GOES_ON, "the same thread, which also looks after the app's store"),
    "tidying._deleted": (
        Place.USER_CODE,
        "a store may be the user's; what it has not deleted is looked at again",
    ),
    "fetching.tried": (Place.HANDED_OVER, "raised again where the attempt begins"),
    "errands.said": (Place.GOES_ON, "the steps of a stop after this one are done all the same"),
    "health.Health._look": (Place.GOES_ON, "a part that cannot say how it is must not silence the others"),
    "health_server.HealthServer._serve": (
        Place.GOES_ON,
        "the port answers while no descriptor is free, and after",
    ),
    "interrupts.MainThreadLimits._run": (Place.GOES_ON, "the thread that asks for limits in the main thread"),
    "intake.Intake.take": (Place.GOES_ON, "tasks that no child could be given go back"),
    "limits.SoftLimits._run": (Place.GOES_ON, "the thread that watches the soft limits"),
    "loop.LoopPool._turn": (Place.GOES_ON, "the child's event loop"),
    "service.Service._run": (Place.GOES_ON, "a round of any loop of the worker"),
    "threads.ThreadPool._work": (Place.GOES_ON, "a thread that ended would take a slot and a task with it"),
    "starter.Starter.try_one": (Place.CHILD_STARTS, "it is tried again"),
}
TWICE = {"logs._plain"}
"""The second is inside of the first."""


def names(node: ast.expr | None) -> set[str]:
    """The classes that a handler catches; a bare `except` catches all."""
    match node:
        case None:
            return {"BaseException"}
        case ast.Tuple(elts=elements):
            return set().union(*map(names, elements))
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name}
    return set()


def catches_all(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        return bool(names(node.type) & BROAD) and not isinstance(node.body[-1], ast.Raise)
    if isinstance(node, ast.Call) and names(node.func) == {"suppress"}:
        return any(names(one) & BROAD for one in node.args)
    return False


def found_in(node: ast.AST, scope: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{scope}.{child.name}"
        if catches_all(child):
            yield inner
        yield from found_in(child, inner)


def test_what_catches_everything_is_on_the_list() -> None:
    """A new one needs a place in the rule, and a reason here; else name the errors that are meant."""
    found = Counter(
        name for path in PACKAGE.rglob("*.py") for name in found_in(ast.parse(path.read_text()), path.stem)
    )

    assert sorted(found.keys() - ALLOWED.keys()) == [], "catches everything, and is not on the list"
    assert sorted(ALLOWED.keys() - found.keys()) == [], (
        "is on the list, and catches nothing like that any more"
    )
    assert {name for name, count in found.items() if count > 1} == TWICE


def test_the_rule_is_told_where_rules_are() -> None:
    """CONTRIBUTING.md has the places in the same words."""
    rule = " ".join((PACKAGE.parent / "CONTRIBUTING.md").read_text().split())

    assert [place.value for place in Place if place.value not in rule] == []
