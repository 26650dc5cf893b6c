"""Exceptions without their texts, for an app that keeps these to itself."""

from __future__ import annotations

import logging
import traceback

import pytest

from taskflow.errors import Reject
from taskflow.telemetry.traces import exc_info, place, stand_in

SECRET = "the-secret"


class Wild(ValueError):
    """Whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)


class Meta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError(SECRET)


class Strange(Exception, metaclass=Meta):
    """Whose class has no name."""


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return caught


def chained() -> BaseException:
    def deep(token: str) -> None:
        try:
            raise KeyError(token)
        except KeyError as first:
            first.add_note(token)
            raise ValueError(token) from first

    try:
        try:
            deep(SECRET)
        except ValueError:
            raise OSError(2, SECRET, SECRET)  # noqa: B904 - by the context
    except OSError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        chained(),
        raised(
            ExceptionGroup(
                SECRET, [chained(), Wild(SECRET), ExceptionGroup(SECRET, [ImportError(SECRET, name=SECRET)])]
            )
        ),
        raised(BaseExceptionGroup(SECRET, [SystemExit(SECRET)])),
        raised(UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET)),
        raised(SyntaxError(SECRET, (SECRET, 1, 1, SECRET))),
        raised(Wild(SECRET)),
        raised(Strange(SECRET)),
        raised(KeyboardInterrupt(SECRET)),
    ],
    ids=lambda error: "error",
)
def test_whatever_a_handler_prints_of_a_stand_in_it_has_no_text(error: BaseException) -> None:
    """A handler gets `exc_info` and may print all there is: the chain, notes, members of groups, `repr`, `args`."""
    shown = stand_in(error)
    printed = logging.Formatter().formatException(exc_info(shown))
    printed += "".join(traceback.format_exception(shown)) + repr(shown) + repr(shown.args) + repr(vars(shown))
    assert SECRET not in printed


def test_it_has_the_name_the_places_and_the_causes() -> None:
    """So that an error tracker still groups what belongs together, and somebody can find the line."""
    error = chained()
    shown = stand_in(error)
    printed = "".join(traceback.format_exception(shown))
    for word in (
        "KeyError",
        "ValueError",
        "FileNotFoundError",
        "in deep",
        "in chained",
        "direct cause",
        "During handling",
    ):
        assert word in printed
    assert place(shown) == place(error)
    assert isinstance(shown, Exception)
    assert not isinstance(stand_in(SystemExit()), Exception)


def test_what_says_no_data_keeps_its_text() -> None:
    shown = stand_in(raised(Reject("no such order")), (Reject,))
    assert str(shown) == "no such order"
    assert type(shown).__name__ == "Reject"


def test_an_exception_that_leads_to_itself_has_an_end() -> None:
    one, other = ValueError(SECRET), KeyError(SECRET)
    one.__cause__, other.__cause__ = other, one
    assert stand_in(one).__cause__ is not None
    chain: BaseException = ValueError(SECRET)
    for _ in range(5000):
        chain, chain.__context__ = ValueError(SECRET), chain
    assert SECRET not in "".join(traceback.format_exception(stand_in(chain)))
