"""Names that are imported from Celery: each is there under its name, or the import says what to write instead."""

from __future__ import annotations

import importlib
import pickle
from typing import Any

import pytest

import taskflow
from taskflow import TaskFlow, errors, states
from taskflow.errors import CELERYS, NOT_CELERYS, UnknownOption
from taskflow.options.refused import APP, CONSTRUCTOR, NAMES
from taskflow.states import State


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_import_of_what_is_not_there_says_what_to_write(name: str) -> None:
    words = NAMES[name][:20]
    with pytest.raises(ImportError, match=f"taskflow has no {name}: ") as caught:
        exec(f"from taskflow import {name}")
    assert words in str(caught.value)
    with pytest.raises(ImportError, match=f"taskflow has no {name}: "):
        importlib.import_module(f"taskflow.{name}")
    with pytest.raises(AttributeError, match=f"has no attribute '{name}': "):
        getattr(taskflow, name)
    assert not hasattr(taskflow, name)


def test_any_other_name_is_answered_as_ever() -> None:
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec("from taskflow import nonsense")
    with pytest.raises(ModuleNotFoundError, match=r"taskflow\.nonsense"):
        importlib.import_module("taskflow.nonsense")


@pytest.mark.parametrize("name", sorted(CELERYS))
def test_celerys_exceptions_are_those_that_mean_the_same(name: str) -> None:
    assert getattr(errors, name) is getattr(errors, CELERYS[name])


@pytest.mark.parametrize("name", sorted(NOT_CELERYS))
def test_an_exception_that_is_not_there_says_what_happens_instead(name: str) -> None:
    with pytest.raises(ImportError, match=f"taskflow.errors has no {name}: "):
        exec(f"from taskflow.errors import {name}")


@pytest.mark.parametrize("name", sorted(states.NOT_CELERYS))
def test_celerys_states_are_answered_with_where_they_are(name: str) -> None:
    with pytest.raises(ImportError, match=rf"taskflow.states has no {name}: result\.status is text"):
        exec(f"from taskflow.states import {name}")


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("shop", broker="redis://127.0.0.1:1")


@pytest.mark.parametrize("name", sorted(APP))
def test_an_attribute_that_an_app_has_not_is_answered(app: TaskFlow, name: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}': .{{10}}"):
        getattr(app, name)


@pytest.mark.parametrize("name", sorted(CONSTRUCTOR))
def test_what_celery_takes_where_an_app_is_made_is_answered(name: str) -> None:
    given: dict[str, Any] = {name: "x"}
    with pytest.raises(UnknownOption, match=f"TaskFlow takes no {name}=: .{{10}}"):
        TaskFlow("shop", **given)


@pytest.mark.parametrize("word", ["SUCCESS", "FAILURE", "PENDING", "REVOKED"])
def test_a_state_that_is_compared_with_celerys_word_says_so(word: str) -> None:
    """It was never true: a Celery program that waited for SUCCESS waited for ever."""
    for compare in (
        lambda: word == State.COMPLETED,
        lambda: word != State.COMPLETED,
        lambda: State.COMPLETED in ("", word),
    ):
        with pytest.raises(TypeError, match=rf"never '{word}'.*handle\.status"):
            compare()


def test_states_compare_as_text_otherwise() -> None:
    assert State.COMPLETED == "completed" == State("completed")
    assert State.COMPLETED != "pending"
    assert State.PENDING not in ([], {}, None, 1, "SUCCESSFUL")
    assert {State.PENDING: 1}["pending"] == 1  # type: ignore[index]
    assert pickle.loads(pickle.dumps(State.RETRY)) is State.RETRY
