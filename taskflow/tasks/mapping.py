"""`map`: the calls that go together, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from ..broker.commands.enqueue import NewTask
from ..errors import EnqueueError, InvalidArguments, TaskFlowError
from .result import AsyncResult

R = TypeVar("R")

Progress = Callable[[int, int | None], object]
"""Called with the number of calls that have an outcome, and of all; None when that is not known."""


@dataclass(frozen=True, slots=True)
class MapItem(Generic[R]):
    """What became of one call of `map`: `result` is its handle, or `error` says why it was not enqueued."""

    index: int
    result: AsyncResult[R] | None
    error: TaskFlowError | None

    @property
    def ok(self) -> bool:
        """Whether it was enqueued."""
        return self.error is None


class MapResult(Sequence[MapItem[R]]):
    """The outcomes of `map`, in the order of the calls.

    Example:
        >>> outcomes = resize.map([("a.png",), ("b.png", 100)])    # doctest: +SKIP
        >>> len(outcomes), len(outcomes.failed)                    # doctest: +SKIP
        (2, 0)
    """

    def __init__(self, items: Sequence[MapItem[R]]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> MapItem[R]: ...
    @overload
    def __getitem__(self, index: slice) -> MapResult[R]: ...
    def __getitem__(self, index: int | slice) -> MapItem[R] | MapResult[R]:
        return MapResult(self._items[index]) if isinstance(index, slice) else self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"MapResult({len(self) - len(self.failed)} enqueued, {len(self.failed)} failed)"

    @property
    def results(self) -> list[AsyncResult[R]]:
        """The handles of those that were enqueued."""
        return [item.result for item in self._items if item.result is not None]

    @property
    def failed(self) -> list[MapItem[R]]:
        """Those that were not."""
        return [item for item in self._items if not item.ok]

    def raise_for_errors(self) -> None:
        """Raise `EnqueueError` if any call was not enqueued; its cause is the first of the errors."""
        if self.failed:
            first = self.failed[0]
            raise EnqueueError(
                f"{len(self.failed)} of {len(self)} calls were not enqueued; "
                f"the first is number {first.index}: {first.error}"
            ) from first.error


def _call(call: Sequence[Any] | Mapping[str, Any], name: str) -> tuple[Sequence[Any], Mapping[str, Any]]:
    if isinstance(call, Mapping):
        return (), call
    if isinstance(call, tuple | list):
        return call, {}
    raise InvalidArguments(
        f"task {name!r}: map() takes a tuple of positional arguments or a dict for each call, "
        f"not {type(call).__name__}"
    )


class Mapped(Generic[R]):
    """The calls of one `map` on their way to their outcomes.

    Args:
        prepare: makes a call of its arguments.
        name: the task's name, for errors.
        calls: what `map` was given.
        progress: told how far it is.
    """

    def __init__(
        self,
        prepare: Callable[[Sequence[Any], Mapping[str, Any]], NewTask],
        name: str,
        calls: Iterable[Sequence[Any] | Mapping[str, Any]],
        progress: Progress | None,
    ) -> None:
        self._prepare = prepare
        self._name = name
        self._calls = calls
        self._total = len(calls) if isinstance(calls, Sized) else None
        self._progress = progress
        self._items: list[MapItem[R] | None] = []
        self._reported = 0

    def new(self) -> Iterator[NewTask]:
        """The calls that can be enqueued; one that cannot has its outcome at once."""
        items, prepare, name = self._items, self._prepare, self._name
        for call in self._calls:
            try:
                args, kwargs = _call(call, name)
                new = prepare(args, kwargs)
            except EnqueueError as error:
                items.append(MapItem(len(items), None, error))
            else:
                items.append(None)
                yield new

    def on_handles(self, outcomes: Sequence[AsyncResult[Any] | TaskFlowError]) -> None:
        """Take what became of the next calls."""
        items, at = self._items, self._reported
        for outcome in outcomes:
            while items[at] is not None:
                at += 1
            if isinstance(outcome, TaskFlowError):
                items[at] = MapItem(at, None, outcome)
            else:
                items[at] = MapItem(at, outcome, None)
            at += 1
        self._reported = at
        if self._progress is not None:
            self._progress(at, self._total)

    def result(self) -> MapResult[R]:
        """All outcomes."""
        if self._progress is not None and self._reported < len(self._items):
            self._progress(len(self._items), self._total)
        return MapResult([item for item in self._items if item is not None])
