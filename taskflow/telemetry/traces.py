"""Exceptions as they may be shown: their type, the places in the code, and what led to them, without what they quote.

Whatever a user's exception makes of its attributes, reading it runs none of its code.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def exc_info(error: BaseException) -> ExcInfo:
    """The exception as `logging` takes it."""
    return type(error), error, traceback_of(error)


def kind_of(error: BaseException) -> str:
    """The name of the exception's class, whatever its metaclass makes of that."""
    return str(_NAME.__get__(type(error)))


def names_of(error: BaseException) -> tuple[str, str]:
    """The module that the exception's class is defined in, and its name with the classes around it; likewise."""
    return class_names(type(error))


def class_names(kind: type) -> tuple[str, str]:
    """The same of a class."""
    return str(_MODULE.__get__(kind)), str(_QUALNAME.__get__(kind))


_NAME: Any = vars(type)["__name__"]
_MODULE: Any = vars(type)["__module__"]
_QUALNAME: Any = vars(type)["__qualname__"]
_PARTS: Any = vars(BaseExceptionGroup)["exceptions"]
_CAUSE: Any = vars(BaseException)["__cause__"]
_CONTEXT: Any = vars(BaseException)["__context__"]
_SUPPRESS: Any = vars(BaseException)["__suppress_context__"]


def place(error: BaseException, prefer: str = "") -> str:
    """Where an exception came from.

    Args:
        error: the exception.
        prefer: a file: its last line that the exception passed through, if there is one; else the last in a file that
            belongs to no library; else where it was raised.

    Returns:
        `file:line`, or "" for one that was never raised.
    """
    frames = list(_frames(traceback_of(error)))
    for wanted in (lambda file: file == prefer, _is_users, lambda file: True):
        places = [f"{file}:{line}" for file, line, _ in frames if wanted(file)]
        if places:
            return places[-1]
    return ""


_LIBRARY = os.path.dirname(os.__file__)
_PACKAGE = os.path.dirname(os.path.dirname(__file__))


def _is_users(file: str) -> bool:
    """Whether a file is neither the standard library's, nor installed, nor ours."""
    return not (file.startswith((_LIBRARY, _PACKAGE, "<frozen")) or "site-packages" in file)


def traceback_of(error: BaseException) -> TracebackType | None:
    """The exception's traceback, whatever its class makes of that attribute."""
    return _TRACEBACK.__get__(error)  # type: ignore[no-any-return]


_TRACEBACK: Any = vars(BaseException)["__traceback__"]


def places(error: BaseException | None) -> Iterator[str]:
    """A traceback with files, lines, functions and types only, and with what led to it."""
    seen: set[int] = set()
    words = ""
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if words:
            yield words
        for file, line, function in _frames(traceback_of(error)):
            yield f'  File "{file}", line {line}, in {function}'
        yield type(error).__qualname__
        if error.__cause__ is not None:
            error, words = error.__cause__, "caused by"
        else:
            error, words = (
                None if error.__suppress_context__ else error.__context__,
                "while this was being handled",
            )


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield code.co_filename, trace.tb_lineno, code.co_qualname
        trace = trace.tb_next


def stand_in(error: BaseException, keep: tuple[type[BaseException], ...] = ()) -> BaseException:
    """An exception that prints as this one does, but for its texts: of the same name, with the same traceback, and with what led
    to it. It is of another class, and has none of its attributes.

    Args:
        error: the exception.
        keep: classes whose text holds no data: it is kept.

    Example:
        >>> stand_in(ValueError("the secret"))
        ValueError()
    """
    return _stand_in(error, keep, {}) or Exception()


MOST_LINKS = 50
"""Exceptions that a stand-in leads to: a chain may be as long as somebody likes."""


def _stand_in(
    error: BaseException, keep: tuple[type[BaseException], ...], made: dict[int, BaseException | None]
) -> BaseException | None:
    """None where one is under way already: an exception may lead to itself."""
    if id(error) in made or len(made) >= MOST_LINKS:
        return made.get(id(error))
    made[id(error)] = None
    is_group = issubclass(type(error), BaseExceptionGroup)
    found = _group(error, keep, made) if is_group else _single(error, keep)
    made[id(error)] = found
    found.__traceback__ = traceback_of(error)
    cause, context = _CAUSE.__get__(error), _CONTEXT.__get__(error)
    if cause is not None:
        found.__cause__ = _stand_in(cause, keep, made)
    elif context is not None and not _SUPPRESS.__get__(error):
        found.__context__ = _stand_in(context, keep, made)
    return found


def _group(
    group: BaseException,
    keep: tuple[type[BaseException], ...],
    made: dict[int, BaseException | None],
) -> BaseException:
    parts = [part for one in _PARTS.__get__(group) if (part := _stand_in(one, keep, made)) is not None]
    return BaseExceptionGroup("", parts) if parts else _single(group, ())


def _single(error: BaseException, keep: tuple[type[BaseException], ...]) -> BaseException:
    kind = type(error)
    base = Exception if issubclass(kind, Exception) else BaseException
    names = dict(zip(("__module__", "__qualname__"), names_of(error), strict=True))
    made: BaseException = type(kind_of(error), (base,), names)()
    if issubclass(kind, keep):
        try:
            made.args = (str(error),)
        except BaseException:  # noqa: BLE001 - a class of the user's below one of these may do anything
            made.args = ()
    return made
