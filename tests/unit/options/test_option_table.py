"""The table of options: what the types, the layers, the message and the policy make of options is what it says."""

from __future__ import annotations

import inspect
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args, get_type_hints

import pytest
import tenacity

from taskflow import TaskFlow
from taskflow.errors import InvalidOption, TaskFlowError, UnknownOption
from taskflow.message.task_message import TaskMessage
from taskflow.options import (
    POLICY,
    Declaration,
    Defaults,
    Options,
    Schedule,
    Scope,
    TaskOptions,
    build_message,
    merge,
)
from taskflow.options.option import Option, Way
from taskflow.options.refused import CELERYS
from taskflow.options.table import BY_NAME, BY_SPELLING, FIELDS, OPTIONS, SECTIONS
from taskflow.retry import RetryPolicy

KEPT = [option for option in OPTIONS if option.fields]
NOON = datetime(2030, 1, 1, tzinfo=UTC)
SAMPLES: dict[Any, list[Any]] = {
    float: [2.5],
    int: [2],
    str: ["x"],
    bool: [True, False],
    timedelta: [timedelta(minutes=1)],
    datetime: [NOON],
    Literal["strict"]: ["strict"],
    Literal["zlib", "zstd", "none"]: ["zlib"],
    Literal["json", "msgpack"]: ["msgpack"],
    Literal["threads", "thread", "processes", "process", "async"]: ["processes"],
}
HEADERS = {"a": "b"}

each_option = pytest.mark.parametrize("option", KEPT, ids=lambda option: option.name)


def spelled(scope: Scope) -> set[str]:
    return {name for name, option in BY_SPELLING.items() if option.is_for(name, scope)}


def types_of(name: str) -> set[Any]:
    """What the type says that a value may be, but for None."""
    hints = get_type_hints(Options) | get_type_hints(Declaration)
    return {*get_args(hints[name])} - {type(None)}


def sample(option: Option) -> Any:
    kind = types_of(option.name)
    return HEADERS if option.name == "headers" else next(SAMPLES[one][0] for one in SAMPLES if one in kind)


def test_the_types_for_checkers_name_the_options_of_each_place() -> None:
    """They are spelt out, since type checkers need that: a new row without its line there, or in the wrong one, fails here."""
    assert set(get_type_hints(Defaults)) == spelled(Scope.APP)
    assert set(get_type_hints(Options)) == spelled(Scope.CALL)
    assert set(get_type_hints(Declaration)) == spelled(Scope.TASK) - {
        "bind",
        "base",
    }  # arguments: they decide on the type


def test_a_layer_has_a_field_for_each_option_in_the_tables_order() -> None:
    assert tuple(field.name for field in fields(TaskOptions)) == FIELDS


def test_every_name_is_used_once() -> None:
    assert len(BY_NAME) == len(OPTIONS) == sum(len(section) for section in SECTIONS.values())
    assert len(BY_SPELLING) == sum(len(option.spellings) for option in OPTIONS)
    assert not {*CELERYS} & spelled(Scope.CALL)


@pytest.mark.parametrize("name", sorted(spelled(Scope.CALL) - {"headers"}))
def test_a_value_of_the_type_is_taken_and_one_of_another_type_is_not(name: str) -> None:
    """A type that allows less than the parser, or more, would have checkers refuse what works, or pass what does not."""
    taken = {kind for kind, (value, *_) in SAMPLES.items() if not raises(TaskOptions.of, {name: value})}
    also = {float: {int}, str: set(SAMPLES) - {float, int, bool, timedelta, datetime}}
    assert taken == types_of(name).union(*(also.get(kind, set()) for kind in types_of(name)))


def layer(options: dict[str, Any]) -> TaskOptions:
    """What a call gives, or a declaration where only that may."""
    of_call = all(BY_SPELLING[name].is_for(name, Scope.CALL) for name in options)
    return TaskOptions.of(options, Scope.CALL if of_call else Scope.TASK)


def raises(call: Any, value: Any) -> bool:
    try:
        call(value)
    except TaskFlowError:
        return True
    return False


# --- where ---------------------------------------------------------------------------------------------------


def write(scope: Scope, options: dict[str, Any]) -> object:
    """Give options in a place, as users do."""
    if scope is Scope.APP:
        return TaskFlow("shop", broker="redis://127.0.0.1:1", **options)
    app = TaskFlow("shop", broker="redis://127.0.0.1:1", eager=True)
    if scope is Scope.TASK:
        return app.task(**options)(noop)
    other = app.task(noop).options(**options)
    return other if scope is Scope.CALL else other.map([()])


def noop() -> None: ...


@pytest.mark.parametrize("scope", Scope)
@each_option
def test_an_option_is_taken_where_it_has_its_place_and_refused_elsewhere(
    option: Option, scope: Scope
) -> None:
    given = {option.name: sample(option)}

    if scope in option.scopes:
        write(scope, given)
    else:
        with pytest.raises(
            UnknownOption, match=rf"`{option.name}` is for (one call|a task), not for .*{option.name}=\.\.\."
        ):
            write(scope, given)


@pytest.mark.parametrize("name", [*POLICY, "name", "bind"])
def test_what_a_declaration_says_is_refused_where_calls_are_made(name: str) -> None:
    """It was unknown there, or took something near for what was meant."""
    hint = CELERYS.get(
        name, rf"`{name}` is for a task, not for one call: give it to @app.task\({name}=\.\.\.\)"
    )
    with pytest.raises(UnknownOption, match=hint):
        write(Scope.CALL, {name: 1})
    if name != "name":  # the app's own
        with pytest.raises(UnknownOption, match=rf"`{name}` is for a task, not for every task of an app"):
            write(Scope.APP, {name: 1})


def test_one_id_for_all_calls_of_a_map_is_refused_at_once() -> None:
    """The first was enqueued, and each other one was a conflict of ids."""
    task = TaskFlow("shop", broker="redis://127.0.0.1:1").task(noop)
    with pytest.raises(UnknownOption, match=r"`id` is for one call, not for all calls of a map"):
        task.options(id="same").map([(), ()])


# --- what of several holds -----------------------------------------------------------------------------------


def test_rivals_are_rivals_of_each_other() -> None:
    for option in OPTIONS:
        assert all(option.name in BY_NAME[rival].rivals for rival in option.rivals)


@pytest.mark.parametrize("option", [one for one in KEPT if one.rivals], ids=lambda option: option.name)
def test_rivals_contradict_each_other_in_one_place_and_the_later_place_wins(option: Option) -> None:
    for rival in map(BY_NAME.__getitem__, option.rivals):
        first, second = {rival.name: sample(rival)}, {option.name: sample(option)}
        with pytest.raises(InvalidOption, match=f"`{rival.name}` and `{option.name}` contradict each other"):
            TaskOptions.of({**first, **second})
        assert merge(TaskOptions.of(first), TaskOptions.of(second)) == TaskOptions.of(second)


@pytest.mark.parametrize("option", [one for one in KEPT if one.refuses], ids=lambda option: option.name)
def test_what_makes_no_sense_together_is_refused_wherever_it_is_given(option: Option) -> None:
    for other, why in option.refuses.items():
        for value in (SAMPLES[kind][0] for kind in types_of(other)):
            with pytest.raises(InvalidOption, match=why):
                merge(layer({other: value}), layer({option.name: sample(option)}))


def test_an_alias_is_its_option() -> None:
    for name in spelled(Scope.CALL):
        option = BY_SPELLING[name]
        assert TaskOptions.of({name: sample(option)}) == TaskOptions.of({option.name: sample(option)})
        if name != option.name:
            with pytest.raises(InvalidOption, match="contradict"):
                TaskOptions.of({name: sample(option), option.name: sample(option)})


# --- how it travels ------------------------------------------------------------------------------------------


@each_option
def test_an_option_travels_as_the_table_says(option: Option) -> None:
    """And in no other way: what is for the caller is neither in the message nor in what the script is told."""
    plain, at_once = built()
    written, when = built(**{option.name: sample(option)})
    changed = {
        field.name
        for field in fields(TaskMessage)
        if getattr(plain, field.name) != getattr(written, field.name)
    }
    told = {
        field.name for field in fields(Schedule) if getattr(at_once, field.name) != getattr(when, field.name)
    }

    if option.way is Way.HEADER:
        assert option.key in written.headers
        changed -= {"headers"}
    # Asynq's rule: a limit of another kind takes the place of the default timeout.
    changed -= {"timeout"} if option.name in ("deadline", "hard_timeout") else set()
    assert changed == ({option.key} if option.way is Way.MESSAGE else set())
    assert told == ({option.key} if option.way is Way.SCRIPT else set())


@each_option
def test_a_default_is_what_holds_where_nothing_is_given(option: Option) -> None:
    task = TaskFlow("shop", broker="redis://127.0.0.1:1").task(noop)
    new = task._make_call((), {}, task._options)
    held = {
        Way.MESSAGE: lambda: getattr(new.terms.message, option.key),
        Way.HEADER: lambda: new.terms.message.headers.get(option.key),
        Way.SCRIPT: lambda: getattr(new.terms, option.key),
        Way.CALLER: lambda: getattr(task._options, option.name),
        Way.CODE: lambda: getattr(task._options, option.name),
    }[option.way]()
    if option.name != "id":
        assert (held or None) == (option.default or None)


def built(**options: Any) -> tuple[TaskMessage, Schedule]:
    return build_message("noop", b"{}", layer(options), new_id=lambda: "new")


# --- the policy ----------------------------------------------------------------------------------------------


def test_the_policys_options_are_what_the_policy_takes_with_its_defaults() -> None:
    takes = inspect.signature(RetryPolicy.of).parameters
    assert {name: parameter.default for name, parameter in takes.items()} == {
        name: BY_NAME[name].default for name in POLICY
    }


def test_rivals_in_the_policy_contradict_each_other() -> None:
    values: dict[str, Any] = {
        "wait": tenacity.wait_fixed(1),
        "retry": tenacity.retry_if_exception_type(OSError),
        "retry_backoff": 2,
        "default_retry_delay": 5,
    }
    for name in POLICY:
        for rival in BY_NAME[name].rivals:
            with pytest.raises(InvalidOption, match=f"`{name}`|`{rival}`"):
                RetryPolicy.of(**{one: values.get(one, OSError) for one in (name, rival)})


def test_celerys_names_are_taken_or_answered() -> None:
    """A name that the page gives as Celery's may be written: it is one of ours, an alias, or refused with what to write."""
    for option in OPTIONS:
        assert (
            not option.celery
            or option.celery in option.spellings
            or option.name in CELERYS.get(option.celery, "")
        )
