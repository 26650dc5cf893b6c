"""The failure of a task, as whoever waits for it is told."""

from __future__ import annotations

import asyncio
import importlib.util
import pickle
import sys
import traceback
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from taskflow import Reject, TaskFlow
from taskflow.attempts import FailedAttempt
from taskflow.errors import InvalidOption, ResultTimeout, TaskFailed
from taskflow.tasks.failure import original_of

HERE = __name__


class Declined(Exception):
    """What a task may fail with."""

    class Twice(ValueError):
        """Defined in another class."""


class Costly(Exception):
    """Whose constructor wants more than a text."""

    def __init__(self, amount: int, currency: str) -> None:
        super().__init__(f"{amount} {currency}")


class Wordy(Exception):
    """Whose text is another than the one that it was given."""

    def __init__(self, order: object) -> None:
        super().__init__(f"order {order} failed")


def nothing_to_raise() -> None:
    raise AssertionError("a function was called")


alias = Declined


def failed(type_: str = "Declined", module: str = HERE, text: str = "no luck") -> TaskFailed:
    attempt = FailedAttempt(datetime.now(UTC), 0.5, "host:1:x", type_, module, text, "Traceback …")
    return TaskFailed(text, task_id="t1", kind=attempt.kind, traceback=attempt.traceback, attempts=[attempt])


def test_the_error_says_what_happened_and_prints_the_workers_traceback() -> None:
    error = failed()
    assert str(error) == "task t1 failed: Declined: no luck"
    assert "In the worker:\nTraceback …" in "".join(traceback.format_exception(error))
    assert str(TaskFailed("boom", task_id="t1")) == "task t1 failed: boom"
    twice = TaskFailed("boom", task_id="t1", kind="E", attempts=error.attempts * 2)
    assert str(twice) == "task t1 failed: E: boom (the last of 2 failed attempts)"


def test_it_can_be_pickled() -> None:
    """As a process pool does with what its functions raise; `TaskFailed` could not."""
    error = failed()
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.kind, copy.attempts, copy.traceback) == (
        str(error),
        "Declined",
        error.attempts,
        "Traceback …",
    )
    late = pickle.loads(pickle.dumps(ResultTimeout("too late", task_id="t1")))
    assert (str(late), late.task_id) == ("too late", "t1")


@pytest.mark.parametrize(
    ("type_", "module", "text", "made"),
    [
        ("Declined", HERE, "no luck", Declined("no luck")),
        ("Declined.Twice", HERE, "no luck", Declined.Twice("no luck")),
        ("Declined", HERE, "", Declined()),
        ("ValueError", "builtins", "no luck", ValueError("no luck")),
        ("KeyError", "builtins", "'name'", KeyError("name")),
        ("KeyError", "builtins", "5", KeyError(5)),
        (
            "FileNotFoundError",
            "builtins",
            "[Errno 2] No such file",
            FileNotFoundError("[Errno 2] No such file"),
        ),
        ("JSONDecodeError", "json.decoder", "no luck", None),  # wants a document and a place in it
        ("Costly", HERE, "5 EUR", None),
        ("Wordy", HERE, "order 7 failed", None),
        ("ExceptionGroup", "builtins", "several", None),
        ("Declined", "no.such.module", "no luck", None),
        ("Declined", "", "no luck", None),
        ("Nothing", HERE, "no luck", None),
        ("", HERE, "no luck", None),
        ("alias", HERE, "no luck", None),
        ("nothing_to_raise", HERE, "no luck", None),
        ("failed.<locals>.Inner", HERE, "no luck", None),
        ("str", "builtins", "no luck", None),
        ("system", "posix", "touch /tmp/owned", None),
        ("SystemExit", "builtins", "3", None),
        ("KeyboardInterrupt", "builtins", "", None),
        ("TaskCancelled", "taskflow.errors", "cancelled", None),
        ("Reject", "taskflow.errors", "not wanted", None),
        ("StopIteration", "builtins", "no luck", None),
        ("ValueError", "taskflow.errors", "no luck", None),
    ],
)
def test_the_original_is_made_where_that_is_safe(
    type_: str, module: str, text: str, made: Exception | None
) -> None:
    original = original_of(failed(type_, module, text))
    assert (type(original), getattr(original, "args", None)) == (type(made), getattr(made, "args", None))


class Ends(Exception):
    """As in programs whose errors end them."""

    def __init__(self, text: str) -> None:
        raise SystemExit(text)


def test_a_type_that_ends_the_program_when_it_is_made_is_not_the_original() -> None:
    assert original_of(failed("Ends", HERE, "no luck")) is None


def test_nothing_is_imported_to_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can write to the server must not choose what this process imports: neither a module, nor what one loads when
    it is asked for an attribute, nor one that waits to be loaded.
    """
    asked: list[str] = []
    lazy = ModuleType("lazy_one")
    lazy.__dict__["__getattr__"] = asked.append
    monkeypatch.setitem(sys.modules, "lazy_one", lazy)

    class Loader:
        def create_module(self, spec: Any) -> None: ...

        def exec_module(self, module: ModuleType) -> None:
            asked.append("loaded")

    spec = importlib.util.spec_from_loader("lazy_two", importlib.util.LazyLoader(Loader()))  # type: ignore[arg-type]
    assert spec is not None
    waiting = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(waiting)
    monkeypatch.setitem(sys.modules, "lazy_two", waiting)
    before = set(sys.modules)
    for module in ("lazy_one", "lazy_two", "this", "antigravity"):
        assert original_of(failed("Declined", module)) is None
    assert asked == []
    assert set(sys.modules) == before
    assert waiting.anything if hasattr(waiting, "anything") else asked == ["loaded"], (
        "the test sees it if it is"
    )


app = TaskFlow("shop", eager=True, max_retries=0, retention=60)


@app.task
def decline(text: str) -> str:
    if text == "rejected":
        raise Reject(text)
    if text == "costly":
        raise Costly(5, "EUR")
    raise Declined(text)


@app.task
def accept() -> str:
    return "fine"


def test_propagate_says_what_becomes_of_a_failure() -> None:
    handle = decline.delay("no luck")
    with pytest.raises(TaskFailed) as caught:
        handle.get()
    assert (caught.value.kind, caught.value.text) == ("Declined", "no luck")
    assert "in decline" in caught.value.traceback
    assert handle.traceback == caught.value.traceback
    returned = handle.get(propagate=False)
    assert isinstance(returned, TaskFailed)
    with pytest.raises(Declined, match="no luck") as original:
        handle.get(propagate="original")
    assert isinstance(original.value.__cause__, TaskFailed)
    assert original.value.__cause__.attempts == caught.value.attempts
    for text in ("rejected", "costly"):
        with pytest.raises(TaskFailed):
            decline.delay(text).get(propagate="original")
    assert accept.delay().get(propagate="original") == accept.delay().get(propagate=False) == "fine"
    with pytest.raises(InvalidOption, match="propagate"):
        accept.delay().get(propagate="orginal")  # type: ignore[call-overload]


def test_so_it_is_from_a_coroutine() -> None:
    async def main() -> None:
        handle = decline.delay("no luck")
        with pytest.raises(Declined):
            await handle.aget(propagate="original")
        assert isinstance(await handle.aget(propagate=False), TaskFailed)
        assert await handle.atraceback() == handle.traceback

    asyncio.run(main())
