"""Looks into the function of a task with `bind=True` for what Celery's `self` has and ours has not: that is refused where the
task is declared, and not when a worker comes to that line.

Whatever cannot be looked into passes: it is answered when it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from opcode import opmap
from types import CodeType
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..options.refused import REQUEST, TASK

if TYPE_CHECKING:
    import ast

_RETRY = {"self", "reason", "delay", "exc", "countdown", "eta", "max_retries", "throw"}
_NO_RETRY = {
    "args",
    "kwargs",
    "queue",
    "routing_key",
    "exchange",
    "priority",
    "link",
    "link_error",
    "serializer",
}
"""Keywords that are worth a look where something is called `retry`."""
_STORE = opmap["STORE_ATTR"]


def check(function: Callable[..., Any], name: str, base: type[Any] | None) -> None:
    """Look into a task's function.

    Args:
        function: the function.
        name: the task's.
        base: the user's class of which the task is made, whose attributes may be set; None: it has none.

    Raises:
        ConfigurationError: it uses what there is not; with its line, and what to write instead.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or not code.co_argcount or not _may_be(code, based=base is not None):
        return
    # Only here: hardly any function gets so far.
    import ast
    from textwrap import dedent

    try:
        tree = ast.parse(dedent(inspect.getsource(code)))
    except (OSError, SyntaxError, ValueError):
        return
    for node, why in _found(tree, code.co_varnames[0], base):
        line = code.co_firstlineno + node.lineno - 1
        raise ConfigurationError(f"{code.co_filename}:{line}: task {name!r} uses {ast.unparse(node)}: {why}")


def _may_be(code: CodeType, *, based: bool) -> bool:
    """Whether there may be anything: by the names in the compiled function, which costs next to nothing."""
    for one in _codes(code):
        names = {*one.co_names}
        if ("request" in names and names & REQUEST.keys()) or names & TASK.keys():
            return True
        words = {
            word
            for known in one.co_consts
            if isinstance(known, tuple)
            for word in known
            if isinstance(word, str)
        }
        if "retry" in names and words & _NO_RETRY:
            return True
        if not based and _STORE in one.co_code[::2]:
            return True
    return False


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for known in code.co_consts:
        if isinstance(known, CodeType):
            yield from _codes(known)


def _found(tree: ast.AST, self: str, base: type[Any] | None) -> Iterator[tuple[Any, str]]:
    import ast

    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is(node.func, self, "retry"):
            others = [word.arg for word in node.keywords if word.arg is not None and word.arg not in _RETRY]
            if others:
                yield (
                    node.func,
                    f"it takes no {', '.join(others)}: another attempt has the task's arguments, queue and options. To run "
                    "it with others, enqueue it by self.apply_async(args, kwargs, ...), and return",
                )
        if not isinstance(node, ast.Attribute):
            continue
        if _is(node.value, self, "request") and node.attr in REQUEST:
            yield node, REQUEST[node.attr]
        elif isinstance(node.value, ast.Name) and node.value.id == self:
            if isinstance(node.ctx, ast.Store) and base is None:
                yield (
                    node,
                    "the running task has no attributes of your own: use a variable, or for what outlives the attempt a class, "
                    "@app.task(base=...)",
                )
            elif isinstance(node.ctx, ast.Load) and node.attr in TASK and not hasattr(base, node.attr):
                yield node, TASK[node.attr]


def _is(node: ast.AST, self: str, attribute: str) -> bool:
    """Whether it is `self.attribute`."""
    import ast

    return (
        isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == self
    )
