"""Functions and arguments that travel by value: cloudpickle, behind the name of the Python that made it (pure).

Whoever calls `loads` has checked the signature: unpickling runs whatever the bytes say.
"""

from __future__ import annotations

import io
import pickle
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cloudpickle

from taskflow.errors import InvalidArguments, NotForThisWorker, PayloadTooLarge

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
"""A function, its positional arguments, and those by name."""

Reference = tuple[str, str]
"""A reference to something that the worker has itself, and that does not travel: its kind and its name."""

_TAG = (sys.implementation.cache_tag or sys.implementation.name).encode() + b"\n"
_HARMLESS = re.compile(r"cannot pickle '[\w.]+' object")


def dumps(
    call: Call,
    *,
    refer: Callable[[object], Reference | None],
    limit: int | None,
    name: str,
) -> bytes:
    """Write a call by value.

    Args:
        call: the function and its arguments.
        refer: gives a reference for what does not travel (the app, its tasks), None for everything else.
        limit: the most bytes allowed, None for no limit.
        name: the task's name, for errors.

    Returns:
        The payload.

    Raises:
        InvalidArguments: something in it cannot travel; naming its type at most.
        PayloadTooLarge: the payload is over the limit.
    """
    buffer = io.BytesIO()
    buffer.write(_TAG)
    try:
        _Pickler(buffer, refer).dump(call)
    except Exception as error:  # noqa: BLE001 - pickling runs the code of the values' own types
        raise InvalidArguments(f"task {name!r}: {_problem(error)}") from None
    data = buffer.getvalue()
    if limit is not None and len(data) > limit:
        raise PayloadTooLarge(name, len(data), limit)
    return data


def loads(data: bytes, *, resolve: Callable[[Reference], Any]) -> Call:
    """Read a call. Only for bytes whose signature was checked.

    Args:
        data: what `dumps` wrote.
        resolve: finds what a reference stands for.

    Returns:
        The call.

    Raises:
        NotForThisWorker: another Python made it, or it refers to what this app does not have.
        InvalidArguments: it is no call.
        Exception: whatever the unpickled code raises, as ModuleNotFoundError.
    """
    tag, newline, pickled = data.partition(b"\n")
    if tag + newline != _TAG:
        raise NotForThisWorker(f"was made by another Python than this one ({_TAG.decode().strip()})")
    call = _Unpickler(io.BytesIO(pickled), resolve).load()
    if not (isinstance(call, tuple) and len(call) == 3 and callable(call[0])):
        raise InvalidArguments("the payload is no call")
    return call


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, refer: Callable[[object], Reference | None]) -> None:
        super().__init__(file)
        self._refer = refer

    def persistent_id(self, value: object) -> Reference | None:
        return self._refer(value)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, resolve: Callable[[Reference], Any]) -> None:
        super().__init__(file)
        self._resolve = resolve

    def persistent_load(self, reference: Any) -> Any:
        return self._resolve(reference)


def _problem(error: Exception) -> str:
    """Say why it cannot travel. The text of most errors of pickle shows the value."""
    text = str(error)
    reason = text if _HARMLESS.fullmatch(text) else type(error).__name__
    return f"the function or an argument cannot travel by value ({reason})"


def arguments(call: Call) -> Mapping[str, Any]:
    """A call as a task's arguments by name."""
    function, args, kwargs = call
    return {"function": function, "args": args, "kwargs": kwargs}


def call_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """The call that `delay(function, *args, **kwargs)` asks for."""
    return args[0], tuple(args[1:]), dict(kwargs)
