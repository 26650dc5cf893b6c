"""What a task depends on, made before its function is called and closed after it, in reverse order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from enum import Enum, auto
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from ..errors import ConfigurationError
from .around import Function
from .depends import Dependency, Kept, dependencies_of, unfilled
from .returned import is_awaitable, is_coroutine_function

Made = dict[Callable[..., Any], Any]
"""What a task has made already, by what it was made with."""


class Kind(Enum):
    """What calling a dependency gives."""

    VALUE = auto()
    COROUTINE = auto()
    MANAGED = auto()
    ASYNC_MANAGED = auto()
    KEPT = auto()
    ASYNC_KEPT = auto()


_ASYNC = (Kind.COROUTINE, Kind.ASYNC_MANAGED, Kind.ASYNC_KEPT)


class Node:
    """A dependency, and what it depends on itself.

    Args:
        call: makes it.

    Raises:
        ConfigurationError: it has parameters that nobody fills, or depends on itself.
    """

    def __init__(self, call: Callable[..., Any], above: tuple[Callable[..., Any], ...] = ()) -> None:
        self.call = call
        self.name = name_of(call)
        if call in above:
            raise ConfigurationError(
                f"{' -> '.join(map(name_of, (*above, call)))}: a dependency cannot depend on itself"
            )
        self.needs: dict[str, tuple[Node, bool]] = {}
        if isinstance(call, Kept):
            self.kind = Kind.ASYNC_KEPT if call.is_async else Kind.KEPT
            return
        self.kind = kind_of(call)
        found = dependencies_of(call, self.name)
        if missing := unfilled(call, found):
            raise ConfigurationError(
                f"parameter `{missing[0]}` of {self.name} is filled by nobody: give it a default, or Depends(...); the "
                "arguments of a task are its own, and current_task() knows the task"
            )
        self.needs = {
            name: (Node(need.call, (*above, call)), need.use_cache)
            for name, need in found.items()
            if need.call is not None
        }

    @property
    def is_async(self) -> bool:
        """Whether an event loop is needed to make it, or something that it depends on."""
        return self.kind in _ASYNC or any(node.is_async for node, _ in self.needs.values())


class Injection:
    """What one task depends on.

    Args:
        injected: its parameters.
        overrides: looked at for each task: what stands in for what.
        task: the task's name, for errors.
        is_async: whether it is a coroutine function.

    Raises:
        ConfigurationError: it is a function, and something that it depends on needs an event loop.
    """

    def __init__(
        self,
        injected: Mapping[str, Dependency],
        overrides: Mapping[Callable[..., Any], Callable[..., Any]],
        task: str,
        *,
        is_async: bool,
    ) -> None:
        self._task = task
        self._overrides = overrides
        self._is_async = is_async
        self._instead: dict[Callable[..., Any], Node] = {}
        self._needs = {
            name: (self._check(Node(need.call)), need.use_cache)
            for name, need in injected.items()
            if need.call is not None
        }

    def _check(self, node: Node) -> Node:
        if node.is_async and not self._is_async:
            raise ConfigurationError(
                f"task {self._task!r} is a function, which runs in a thread, and {node.name} needs an event loop: make the "
                "task a coroutine function, or the dependency one that waits for nothing"
            )
        return node

    def _real(self, node: Node) -> Node:
        """The node itself, or what stands in for it."""
        other = self._overrides.get(node.call) if self._overrides else None
        if other is None:
            return node
        found = self._instead.get(other)
        if found is None:
            found = self._instead[other] = self._check(Node(other))
        return found

    # --- functions ------------------------------------------------------------------------------------------------

    def run(self, kwargs: dict[str, Any], call: Function) -> Any:
        """Call a function with what it depends on."""
        with ExitStack() as stack:
            return call({**kwargs, **self._make_all(self._needs, stack, {})})

    def _make_all(
        self, needs: Mapping[str, tuple[Node, bool]], stack: ExitStack, made: Made
    ) -> dict[str, Any]:
        return {name: self._make(node, stack, made, shared=shared) for name, (node, shared) in needs.items()}

    def _make(self, node: Node, stack: ExitStack, made: Made, *, shared: bool) -> Any:
        if shared and node.call in made:
            return made[node.call]
        real = self._real(node)
        if isinstance(real.call, Kept):
            return real.call.value
        value = real.call(**self._make_all(real.needs, stack, made))
        if real.kind is Kind.MANAGED:
            manager = manager_of(value)
            value = manager.__enter__()
            stack.push(lambda *how: _shown(manager.__exit__(*how)))
        if shared:
            made[node.call] = value
        return value

    # --- coroutine functions --------------------------------------------------------------------------------------

    async def arun(self, kwargs: dict[str, Any], call: Function) -> Any:
        """As `run`, of a coroutine function, until what it gives has been awaited."""
        async with AsyncExitStack() as stack:
            value = call({**kwargs, **await self._amake_all(self._needs, stack, {})})
            while is_awaitable(value):
                value = await value
            return value

    async def _amake_all(
        self, needs: Mapping[str, tuple[Node, bool]], stack: AsyncExitStack, made: Made
    ) -> dict[str, Any]:
        return {
            name: await self._amake(node, stack, made, shared=shared)
            for name, (node, shared) in needs.items()
        }

    async def _amake(self, node: Node, stack: AsyncExitStack, made: Made, *, shared: bool) -> Any:
        if shared and node.call in made:
            return made[node.call]
        real = self._real(node)
        if isinstance(real.call, Kept):
            return await real.call.avalue(stack) if real.call.is_async else real.call.value
        value = real.call(**await self._amake_all(real.needs, stack, made))
        if real.kind is Kind.MANAGED:
            manager = manager_of(value)
            value = manager.__enter__()
            stack.push(lambda *how: _shown(manager.__exit__(*how)))
        elif real.kind is Kind.ASYNC_MANAGED:
            amanager = async_manager_of(value)
            value = await amanager.__aenter__()

            async def leave(*how: Any) -> None:
                _shown(await amanager.__aexit__(*how))

            stack.push_async_exit(leave)
        elif real.kind is Kind.COROUTINE:
            value = await value
        if shared:
            made[node.call] = value
        return value


def kind_of(call: Callable[..., Any]) -> Kind:
    """What calling it gives, as far as its function says."""
    inner = inspect.unwrap(call)
    called = getattr(inner, "__call__", inner) if not inspect.isroutine(inner) else inner  # noqa: B004
    if isinstance(inner, type):
        return Kind.VALUE
    if any(inspect.isasyncgenfunction(one) for one in (inner, called)):
        return Kind.ASYNC_MANAGED
    if any(inspect.isgeneratorfunction(one) for one in (inner, called)):
        return Kind.MANAGED
    return Kind.COROUTINE if is_coroutine_function(inner) else Kind.VALUE


def name_of(call: Callable[..., Any]) -> str:
    """What it is called, for errors."""
    return str(getattr(call, "__qualname__", type(call).__qualname__))


def manager_of(value: Any) -> Any:
    """What a generator function has given, or one with `contextlib.contextmanager`."""
    return contextmanager(lambda: value)() if isinstance(value, GeneratorType) else value


def async_manager_of(value: Any) -> Any:
    """The same of an asynchronous one."""
    return asynccontextmanager(lambda: value)() if isinstance(value, AsyncGeneratorType) else value


def _shown(swallowed: object) -> None:
    """A dependency is shown what the task raised, and cannot swallow it: what was rolled back has not succeeded. It may raise
    something else.
    """
