"""Ids and the names that become parts of keys."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.errors import InvalidOption, InvalidQueueName, InvalidTaskId, TaskFlowError
from taskflow.message import ids
from taskflow.message.ids import (
    MAX_HEADERS,
    check_group_name,
    check_headers,
    check_queue_name,
    check_task_id,
    check_task_name,
    new_id,
)

CHECKS = [check_queue_name, check_task_id, check_task_name, check_group_name]


def test_a_new_id_is_a_random_uuid_in_lower_case() -> None:
    for made in (new_id() for _ in range(1000)):
        parsed = uuid.UUID(made)
        assert str(parsed) == made
        assert parsed.version == 4
        assert parsed.variant == uuid.RFC_4122


def test_new_ids_do_not_repeat() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_a_fork_draws_other_ids() -> None:
    new_id()
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
        child = os.fork()
    if child == 0:
        os.write(writer, "\n".join(new_id() for _ in range(200)).encode())
        os._exit(0)
    os.close(writer)
    mine = {new_id() for _ in range(200)}
    with os.fdopen(reader) as stream:
        theirs = set(stream.read().split())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(theirs) == 200
    assert not mine & theirs


def test_two_with_the_same_random_numbers_draw_other_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """As two machines that were started from one snapshot of a running one."""
    numbers = list(range(1, 50))
    drawn = []
    for _ in range(2):
        monkeypatch.setattr(ids, "_store", numbers.copy())
        drawn.append({new_id() for _ in numbers})
    assert not drawn[0] & drawn[1]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "name", ["default", "images:resize", "a-b_c.d/e", "x" * 255, "größe", "0", "a<b>", "画像"]
)
def test_ordinary_names_pass_unchanged(check: Callable[[str], str], name: str) -> None:
    assert check(name) == name


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "blank"),
        ("  ", "blank"),
        ("\n", "blank"),
        ("x" * 256, "256 characters"),
        ("a{b", "brace"),
        ("}", "brace"),
        ("a\x00b", r"U\+0000"),
        ("a\nb", r"U\+000A"),
        ("a\x1b[31mb", r"U\+001B"),
        ("a\x7f", r"U\+007F"),
        ("a\x85b", r"U\+0085"),
        ("a\ud800", r"U\+D800"),
        ("a\u2028b", r"U\+2028"),
        (b"bytes", "not bytes"),
        (None, "not NoneType"),
        (7, "not int"),
    ],
)
def test_bad_names_are_refused_with_what_is_wrong(
    check: Callable[[str], str], name: str, problem: str
) -> None:
    with pytest.raises(InvalidOption, match=problem):
        check(name)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ["a b", " a", "a\u00a0b", "a\u3000b", "a,b", '"a"=2'])
def test_a_name_may_hold_what_gos_names_hold(check: Callable[[str], str], name: str) -> None:
    """Go takes any name that is not blank; a queue with a space could not be served from Python."""
    assert check(name) == name


def test_each_check_has_its_own_error() -> None:
    with pytest.raises(InvalidQueueName):
        check_queue_name("")
    with pytest.raises(InvalidTaskId):
        check_task_id("")


@given(st.text(st.characters(codec=None)))
def test_errors_about_names_are_one_printable_line(name: str) -> None:
    for check in CHECKS:
        problem = refusal(check, name)
        assert problem.isascii()
        assert problem.isprintable()
        assert len(problem) < 250
        assert problem or name.encode()


def refusal(check: Callable[[str], str], name: str) -> str:
    try:
        check(name)
    except TaskFlowError as error:
        return str(error)
    return ""


def test_headers_are_copied() -> None:
    given_headers = {"trace": "abc", "empty": "", "text": "any\nthing \u2028"}
    checked = check_headers(given_headers)
    assert checked == given_headers
    assert checked is not given_headers


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"a": 1}, "'a' must be a str, not int"),
        ({1: "a"}, "of type int must be a str"),
        ({"": "a"}, "blank"),
        ({"a\n": "x"}, r"U\+000A"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({str(n): "" for n in range(MAX_HEADERS + 1)}, "65 headers"),
        ({"a": "x" * 17_000}, "17,001 bytes"),
        ("text", "mapping"),
        ([("a", "b")], "mapping"),
    ],
)
def test_bad_headers_are_refused(headers: object, problem: str) -> None:
    with pytest.raises(InvalidOption, match=problem):
        check_headers(headers)  # type: ignore[arg-type]


def test_a_bad_headers_value_is_not_shown() -> None:
    with pytest.raises(InvalidOption) as caught:
        check_headers({"token": b"hunter2"})  # type: ignore[dict-item]
    assert "hunter2" not in str(caught.value)
