"""Errors that users meet are in `errors.py`; an exception elsewhere is a word between two functions of ours."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "taskflow"

ELSEWHERE = {
    "fetcher._Ends": "ends a round of the loop that is about to be stopped",
    "frames.BadFrame": "bytes on the pipe that are no frame: the child that sent them is ended",
    "limits._TakenBack": "raised where it is caught, so that nothing else is raised there any more",
    "main.Failure": "click's own, which ends a command with our text",
    "names.UnresolvedHost": "one of the errors of a connection, which is tried again and told as BrokerUnavailable",
    "on_loop.TaskCancelled": "errors.TaskCancelled as asyncio knows it: a child of plain functions does without asyncio",
    "on_loop.TaskTimeout": "likewise",
    "parameters.UnresolvedAnnotation": "tried again at the first use, and told as InvalidSignature",
    "payload.NotJSON": "told as InvalidArguments or ResultNotSerializable",
    "payload.Refused": "told as InvalidArguments",
    "returns.Unfit": "told as ResultMismatch, by whoever knows the task's id",
    "solo._Ended": "ends the wait of the main thread",
}


def is_an_exception(node: ast.ClassDef) -> bool:
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    return any(
        name.endswith(("Exception", "Error", "Warning", "TaskTimeout", "TaskCancelled")) for name in bases
    )


def test_exceptions_are_in_errors_py_but_for_those_that_no_user_meets() -> None:
    """`except taskflow.TaskFlowError` is to catch whatever goes wrong, and help(taskflow.errors) to show it."""
    found = {
        f"{path.stem}.{node.name}"
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and is_an_exception(node)
    }

    assert found == ELSEWHERE.keys()
