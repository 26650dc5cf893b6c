"""What a function's parameters are, and which types their JSON must fit (pure)."""

from __future__ import annotations

import inspect
import keyword
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

import msgspec
import msgspec.inspect

from taskflow.errors import InvalidSignature
from taskflow.message.payload import is_model

_Kind = inspect.Parameter


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a task's function.

    Args:
        name: as in Python.
        wire_name: as in JSON: a keyword with an underscore (`from_`) travels without it.
        required: whether it has no default.
        keyword_only: whether it must be given by name.
        may_be_none: whether its default is None: `x: int = None` takes None, whatever its annotation says.
        annotation: as written, perhaps a string not yet resolved.
    """

    name: str
    wire_name: str
    required: bool
    keyword_only: bool
    may_be_none: bool
    annotation: object


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a task's function.

    Args:
        function_name: the function's name, for errors.
        named: those that have a name of their own, in order.
        extra: the `**kwargs`, which takes every field without a parameter, if there is one.
        given_by_taskflow: the name of the first parameter when `bind=True`, else None.
        scope: where the annotations' names are looked up.
        injected: the names of those that are made where the task runs, and do not travel.
    """

    function_name: str
    named: tuple[Parameter, ...]
    extra: Parameter | None
    given_by_taskflow: str | None
    scope: SimpleNamespace
    injected: frozenset[str] = frozenset()


class UnresolvedAnnotation(Exception):
    """An annotation names something that does not exist, or not yet."""


def read_parameters(
    function: Callable[..., Any], *, skip_first: bool, injected: frozenset[str] = frozenset()
) -> Parameters:
    """Read a function's parameters, without looking at their types.

    Args:
        function: what is to become a task.
        skip_first: whether the first parameter gets the running task and does not travel (`bind=True`).
        injected: names of parameters that do not travel either.

    Returns:
        The parameters.

    Raises:
        InvalidSignature: a parameter cannot be filled by name; with the remedy.
    """
    function_name = getattr(function, "__qualname__", repr(function))
    try:
        declared = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError, NameError) as error:
        raise InvalidSignature(f"the parameters of {function_name} cannot be read: {error}") from error
    given = _take_first(declared, function_name) if skip_first else None
    named: list[Parameter] = []
    extra: Parameter | None = None
    for parameter in declared:
        _refuse_nameless(parameter, function_name)
        if parameter.kind is _Kind.VAR_KEYWORD:
            extra = _parameter(parameter)
        elif parameter.name not in injected:
            named.append(_parameter(parameter))
    _refuse_same_wire_name(named, function_name)
    return Parameters(function_name, tuple(named), extra, given, scope_of(function), injected)


def _take_first(declared: list[inspect.Parameter], function_name: str) -> str:
    if not declared or declared[0].kind in (_Kind.KEYWORD_ONLY, _Kind.VAR_KEYWORD, _Kind.VAR_POSITIONAL):
        raise InvalidSignature(
            f"{function_name} has bind=True and so needs a first parameter that gets the running task; "
            "add one (`def task(self, ...)`), or remove bind=True"
        )
    return declared.pop(0).name


def _refuse_nameless(parameter: inspect.Parameter, function_name: str) -> None:
    if parameter.kind is _Kind.VAR_POSITIONAL:
        raise InvalidSignature(
            f"{function_name} cannot be a task with `*{parameter.name}`: arguments travel by name; "
            f"take a list instead (`{parameter.name}: list`)"
        )
    if parameter.kind is _Kind.POSITIONAL_ONLY:
        raise InvalidSignature(
            f"{function_name} cannot be a task with the positional-only parameter `{parameter.name}`: "
            "arguments travel by name; remove the `/`"
        )
    if parameter.name.startswith("__"):  # a struct, which the parameters become, mangles such a name
        raise InvalidSignature(
            f"{function_name}: parameter `{parameter.name}` begins with two underscores; rename it"
        )


def _refuse_same_wire_name(named: list[Parameter], function_name: str) -> None:
    seen: dict[str, str] = {}
    for parameter in named:
        other = seen.setdefault(parameter.wire_name, parameter.name)
        if other != parameter.name:
            raise InvalidSignature(
                f"{function_name}: `{other}` and `{parameter.name}` have the same name in JSON"
            )


def wire_name(name: str) -> str:
    """What an argument is called in JSON: a Python keyword that has an underscore after it goes without.

    Example:
        >>> wire_name("from_"), wire_name("to")
        ('from', 'to')
    """
    without = name.removesuffix("_")
    return without if name.endswith("_") and keyword.iskeyword(without) else name


def _parameter(parameter: inspect.Parameter) -> Parameter:
    name = parameter.name
    return Parameter(
        name=name,
        wire_name=wire_name(name),
        required=parameter.default is _Kind.empty,
        keyword_only=parameter.kind is _Kind.KEYWORD_ONLY,
        may_be_none=parameter.default is None,
        annotation=Any if parameter.annotation is _Kind.empty else parameter.annotation,
    )


def scope_of(function: Callable[..., Any]) -> SimpleNamespace:
    """Make the object that `typing.get_type_hints` takes for a function with one annotation at a time."""
    inner: Any = inspect.unwrap(function)
    while hasattr(inner, "func"):  # functools.partial
        inner = inspect.unwrap(inner.func)
    inner = getattr(inner, "__func__", inner)
    if not hasattr(inner, "__globals__"):  # an object with __call__
        inner = type(inner).__call__
    return SimpleNamespace(
        __globals__=getattr(inner, "__globals__", {}),
        __type_params__=getattr(inner, "__type_params__", ()),
    )


def resolve_type(parameter: Parameter, parameters: Parameters) -> Any:
    """Find out the type of a parameter and check that it can travel as JSON.

    Args:
        parameter: one of the parameters.
        parameters: all of them.

    Returns:
        A type that msgspec can decode, Any when there is no annotation.

    Raises:
        UnresolvedAnnotation: the annotation names what does not exist, or not yet.
        InvalidSignature: JSON cannot be made into this type.
    """
    if parameter.annotation is Any:
        return Any
    where = f"{parameters.function_name}: parameter `{parameter.name}`"
    try:
        type_ = look_up(parameter.annotation, parameters.scope)
        if any(getattr(mark, "injects", False) is True for mark in getattr(type_, "__metadata__", ())):
            raise InvalidSignature(
                f"{where} is injected, and what its annotation names did not exist when the task was declared: define it above"
            )
        if parameter.may_be_none:
            type_ = typing.Optional[type_]  # noqa: UP045 - `|` is not defined for every form of a type
        problem = type_problem(type_)
    except (NameError, AttributeError) as error:
        raise UnresolvedAnnotation(f"{where} has an annotation that cannot be resolved: {error}") from error
    except (SyntaxError, TypeError) as error:
        raise InvalidSignature(f"{where} has an annotation that is not a type: {error}") from error
    if problem:
        raise InvalidSignature(f"{where} has a type that cannot travel as JSON: {problem}")
    return type_


def look_up(annotation: object, scope: SimpleNamespace) -> Any:
    """The type that an annotation stands for, perhaps as text.

    Raises:
        NameError: it names what does not exist, or not yet; so does AttributeError.
        TypeError: it is no type; so does SyntaxError.
    """
    where = SimpleNamespace(**vars(scope), __annotations__={"it": annotation})
    return typing.get_type_hints(where, include_extras=True)["it"]


def type_problem(type_: Any) -> str | None:
    """Say what in a type is not for JSON; None when it is fine.

    msgspec takes any class and asks a hook for it when it decodes. The hook knows models and paths only, so every other
    class is found here, when the task is declared.
    """
    try:
        described = msgspec.inspect.type_info(type_)
        msgspec.json.Decoder(type_)
    except TypeError as error:
        return f"{error}{_way_out(str(error))}"
    for part in walk(described):
        if isinstance(part, msgspec.inspect.CustomType) and not (part.cls is object or _is_known(part.cls)):
            return f"{part.cls.__module__}.{part.cls.__qualname__}; {_remedy(part.cls)}"
    return None


def holds_anything(type_: Any) -> bool:
    """Whether there is a place in a type where any value may be."""
    for part in walk(msgspec.inspect.type_info(type_)):
        if isinstance(part, msgspec.inspect.AnyType) or (
            isinstance(part, msgspec.inspect.CustomType) and part.cls is object
        ):
            return True
    return False


def _is_known(cls: type) -> bool:
    return is_model(cls) or issubclass(cls, PurePath)


def _way_out(problem: str) -> str:
    """What to write in place of a union whose members cannot be told apart."""
    if not problem.startswith("Type unions"):
        return ""
    if "str-like" in problem:
        return "; in JSON all of these are text, and nobody could tell which was sent: annotate it with one of them (str)"
    if "custom type" in problem:
        return "; annotate it with one of them (a path with str), or put the union into a pydantic RootModel"
    if "array-like" in problem:
        return "; in JSON all of these are lists: annotate it with one of them"
    return (
        "; make them Structs with tags (class A(msgspec.Struct, tag=True)), or fields of one pydantic model"
    )


def _remedy(cls: type) -> str:
    if cls.__module__ == "collections.abc" and cls.__name__ in ("Iterable", "Iterator", "Generator"):
        return "use list[...]"
    return "use a dataclass, a msgspec.Struct, a pydantic model or plain types"


def walk(described: Any) -> Iterator[Any]:
    """Visit a type, as msgspec describes it, and the types in it, once each: types may hold themselves."""
    waiting, seen = [described], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple):
            waiting.extend(item)
        elif isinstance(item, msgspec.inspect.Type | msgspec.inspect.Field) and id(item) not in seen:
            seen.add(id(item))
            yield item
            waiting.extend(msgspec.structs.astuple(item))
