"""`Depends(get_db)`: marks a parameter of a task that is not in its payload, but made where the task runs, and closed after it.

Imported where an app says `Depends`, and by nothing else.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from inspect import Parameter, signature
from typing import Annotated, Any

from ..errors import ConfigurationError
from ..message.parameters import look_up, scope_of

INJECTED: Any = Ellipsis
"""The default of a parameter that is injected, for type checkers: `.delay()` may then be called without it."""


class Dependency:
    """What a parameter depends on; made by `Depends`.

    Args:
        call: makes the value; None: the annotated class does.
        use_cache: whether one task shares it with others that depend on the same.
    """

    __slots__ = ("call", "use_cache")

    injects = True
    """By this the signature of a task tells it from what else stands in an annotation."""

    def __init__(self, call: Callable[..., Any] | None, use_cache: bool) -> None:
        self.call = call
        self.use_cache = use_cache

    def __repr__(self) -> str:
        name = getattr(self.call, "__qualname__", type(self.call).__qualname__)
        return f"Depends({name}{'' if self.use_cache else ', use_cache=False'})"


class Kept(ABC):
    """A dependency that outlives tasks: a resource."""

    is_async: bool
    """Whether it is made on an event loop."""

    @property
    @abstractmethod
    def value(self) -> Any:
        """What it is; it is made where it is not yet."""

    @abstractmethod
    async def avalue(self, stack: AsyncExitStack) -> Any:
        """As `value`, on an event loop. If that may end before the next task, it is made for this one, and closed by `stack`."""

    @abstractmethod
    def __call__(self) -> Any:
        """What it is."""


def Depends(dependency: Callable[..., Any] | None = None, *, use_cache: bool = True) -> Any:
    """Have a parameter filled where the task runs: `db: Annotated[Session, Depends(get_db)]`, or `db: Session = Depends(get_db)`.

    Args:
        dependency: gives the value: a function, a class, a generator function that yields it once and closes it after the task,
            the coroutine twins of these (for coroutine tasks), or what `@app.resource` has made. Its own parameters may depend
            on others. None: the annotated class.
        use_cache: share the value with others in the same task that depend on the same.

    Raises:
        ConfigurationError: it cannot be called.

    Example:
        >>> def get_db():
        ...     with Session() as session:
        ...         yield session
        >>> @app.task                                                       # doctest: +SKIP
        ... def price(order: int, db: Annotated[Session, Depends(get_db)]) -> None: ...
        >>> price.delay(7)                                                  # doctest: +SKIP
    """
    if dependency is not None and not callable(dependency):
        raise ConfigurationError(
            f"Depends() takes what gives the value, not a {type(dependency).__name__}: write Depends(get_db), without calling it"
        )
    return Dependency(dependency, use_cache)


def dependencies_of(function: Callable[..., Any], name: str) -> dict[str, Dependency]:
    """The parameters of a function that are injected.

    Args:
        function: of a task, or a dependency itself.
        name: what it is called, for errors.
    """
    found: dict[str, Dependency] = {}
    scope = scope_of(function.__init__ if isinstance(function, type) else function)  # type: ignore[misc]
    for parameter in _parameters(function):
        annotation = parameter.annotation
        if isinstance(annotation, str):
            try:
                annotation = look_up(annotation, scope)
            except Exception:  # noqa: BLE001 - whatever it names may come later; `parameters.resolve_type` says what is wrong then
                annotation = Any
        while (named := getattr(annotation, "__value__", None)) is not None:
            annotation = named  # `type Db = Annotated[...]` hides what it holds
        written = (*getattr(annotation, "__metadata__", ()), parameter.default)
        marks = [mark for one in written if (mark := _mark(one)) is not None]
        if not marks:
            continue
        if len(marks) > 1:
            raise ConfigurationError(
                f"parameter `{parameter.name}` of {name} depends on two things; leave one Depends out"
            )
        found[parameter.name] = _filled(marks[0], annotation, f"parameter `{parameter.name}` of {name}")
    return found


def _mark(written: Any) -> Dependency | None:
    """What stands in an annotation or a default, if it is a mark: ours, or FastAPI's, so that both share their dependencies."""
    if isinstance(written, Dependency):
        return written
    kind = type(written)
    if kind.__module__ == "fastapi.params" and kind.__name__ == "Depends":
        return Dependency(written.dependency, written.use_cache)
    return None


def unfilled(function: Callable[..., Any], injected: Mapping[str, Dependency]) -> list[str]:
    """The parameters that nobody would fill."""
    return [
        parameter.name
        for parameter in _parameters(function)
        if parameter.name not in injected
        and parameter.default is Parameter.empty
        and parameter.kind not in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    ]


def _filled(mark: Dependency, annotation: Any, where: str) -> Dependency:
    if mark.call is not None:
        return mark
    kind = typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation
    if kind is Any or not isinstance(kind, type):  # `Any` is a class from Python 3.11 on
        raise ConfigurationError(f"{where} has Depends() without what it depends on: write Depends(get_it)")
    return Dependency(kind, mark.use_cache)


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    try:
        return list(signature(function).parameters.values())
    except (TypeError, ValueError):
        return []  # of something written in C: nothing of it is injected


class Overrides(dict[Callable[..., Any], Callable[..., Any]]):
    """What stands in for dependencies, in tests: `app.dependency_overrides[get_db] = fake_db`.

    Example:
        >>> with app.dependency_overrides.using({get_db: fake_db}):        # doctest: +SKIP
        ...     price.delay(7)
    """

    @contextmanager
    def using(self, overrides: Mapping[Callable[..., Any], Callable[..., Any]]) -> Iterator[None]:
        """Have these for a block; afterwards it is as it was before."""
        before = dict(self)
        self.update(overrides)
        try:
            yield
        finally:
            self.clear()
            self.update(before)
