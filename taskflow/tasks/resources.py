"""Resources: what a process makes once and closes at its end, such as an engine or a pool of connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from ..errors import ConfigurationError
from ..telemetry.telling import say_failed
from .depends import Kept, dependencies_of, unfilled
from .injection import Kind, async_manager_of, kind_of, manager_of, name_of

T = TypeVar("T")

OnLoop = Callable[[Any], Any]
"""Awaits something on the event loop of the process, for a thread."""


class Resource(Kept, Generic[T]):
    """Made by `@app.resource`; what a task gets of it, by `Depends`, is its value.

    Args:
        lifespan: has the values.
        function: makes the value.
        start: whether a child makes it before it takes tasks.

    Raises:
        ConfigurationError: it depends on something that ends with a task, or on nothing that could be known.
    """

    def __init__(self, lifespan: Lifespan, function: Callable[..., Any], *, start: bool) -> None:
        self.name = name_of(function)
        self.start = start
        self.function = function
        self.kind = kind_of(function)
        self._lifespan = lifespan
        found = dependencies_of(function, self.name)
        if missing := unfilled(function, found):
            raise ConfigurationError(
                f"parameter `{missing[0]}` of resource {self.name} is filled by nobody: give it a default, or Depends(...)"
            )
        self.needs: dict[str, Resource[Any]] = {}
        for name, need in found.items():
            if not isinstance(need.call, Resource):
                raise ConfigurationError(
                    f"resource {self.name} depends on {need.call and name_of(need.call)}, which ends with a task; a resource "
                    "outlives tasks, so it can depend on other resources only (@app.resource)"
                )
            self.needs[name] = need.call
        own = self.kind in (Kind.COROUTINE, Kind.ASYNC_MANAGED)
        self.is_async = own or any(need.is_async for need in self.needs.values())

    def __repr__(self) -> str:
        return f"<resource {self.name}>"

    def __call__(self) -> T:
        """Its value, as `value`."""
        return self.value

    @property
    def value(self) -> T:
        """What it is in this process; it is made where it is not yet.

        Raises:
            ConfigurationError: it is made on an event loop: only a coroutine task can depend on it.
        """
        return self._lifespan.get(self)  # type: ignore[no-any-return]

    async def avalue(self, stack: AsyncExitStack) -> T:
        """As `value`, on the event loop."""
        return await self._lifespan.aget(self, stack)  # type: ignore[no-any-return]


class Lifespan:
    """The resources of one app in one process.

    Args:
        shares_loop: whether all coroutines of this process have one event loop, which ends with it. If not, as in eager mode,
            what is made on an event loop is made for one task.
    """

    def __init__(self, *, shares_loop: Callable[[], bool]) -> None:
        self.resources: list[Resource[Any]] = []
        self._shares_loop = shares_loop
        self._values: dict[Resource[Any], Any] = {}
        self._closers: list[tuple[Resource[Any], Any]] = []
        """In the order of making: what closes each."""
        self._lock = threading.RLock()
        self._loop_lock: asyncio.Lock | None = None
        self._for_tasks: WeakKeyDictionary[AsyncExitStack, dict[Resource[Any], Any]] = WeakKeyDictionary()

    def get(self, resource: Resource[Any]) -> Any:
        """The value of one that needs no event loop, or has been made on one."""
        if resource in self._values:
            return self._values[resource]
        if resource.is_async:
            raise ConfigurationError(
                f"{resource} is made on an event loop: let a coroutine task depend on it, or make it at the start of the child: "
                "@app.resource(start=True)"
            )
        with self._lock:
            if resource not in self._values:
                made = resource.function(**{name: self.get(need) for name, need in resource.needs.items()})
                if resource.kind is Kind.MANAGED:
                    manager = manager_of(made)
                    made = manager.__enter__()
                    self._closers.append((resource, manager))
                self._values[resource] = made
            return self._values[resource]

    async def aget(self, resource: Resource[Any], stack: AsyncExitStack) -> Any:
        """The value of one that is made on an event loop."""
        if not resource.is_async:
            return self.get(resource)
        if not self._shares_loop():
            made = self._for_tasks.setdefault(stack, {})
            if resource not in made:
                made[resource] = await self._make(resource, stack)
            return made[resource]
        if resource in self._values:
            return self._values[resource]
        if self._loop_lock is None:
            self._loop_lock = asyncio.Lock()
        async with self._loop_lock:
            return await self._made(resource, stack)

    async def _made(self, resource: Resource[Any], stack: AsyncExitStack) -> Any:
        """As `aget`, by whoever has the lock."""
        if resource not in self._values:
            self._values[resource] = await self._make(resource, stack)
        return self._values[resource]

    async def _make(self, resource: Resource[Any], stack: AsyncExitStack) -> Any:
        one = self._made if self._shares_loop() else self.aget
        needs = {
            name: await one(need, stack) if need.is_async else self.get(need)
            for name, need in resource.needs.items()
        }
        made = resource.function(**needs)
        if resource.kind is Kind.COROUTINE:
            return await made
        if resource.kind is Kind.ASYNC_MANAGED:
            manager = async_manager_of(made)
            value = await manager.__aenter__()
            if self._shares_loop():
                self._closers.append((resource, manager))
            else:
                stack.push_async_exit(manager)
            return value
        if resource.kind is Kind.MANAGED:
            manager = manager_of(made)
            value = manager.__enter__()
            if self._shares_loop():
                self._closers.append((resource, manager))
            else:
                stack.push(manager)
            return value
        return made

    def start(self, on_loop: OnLoop) -> None:
        """Make those that are to be there before the first task. What one raises is raised here.

        Args:
            on_loop: awaits on the event loop of this process.
        """
        for resource in self.resources:
            if resource.start:
                on_loop(self._alone(resource)) if resource.is_async else self.get(resource)

    async def _alone(self, resource: Resource[Any]) -> Any:
        async with AsyncExitStack() as stack:
            return await self.aget(resource, stack)

    def close(self, on_loop: OnLoop) -> None:
        """Close what has been made, the last first. One that fails costs a line in the log; the others are closed."""
        with self._lock:
            closers, self._closers = self._closers[::-1], []
            self._values.clear()
            self._loop_lock = None
        for resource, manager in closers:
            with closing_failed(f"The close of {resource}"):
                if resource.kind is Kind.ASYNC_MANAGED:
                    on_loop(_closed(manager))
                else:
                    manager.__exit__(None, None, None)


async def _closed(manager: Any) -> None:
    await manager.__aexit__(None, None, None)


@contextmanager
def closing_failed(what: str) -> Iterator[None]:
    """Whatever is raised in the block costs a line in the log."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - the others are to be closed, and the process ends all the same
        say_failed(what, "the end of the process", error)
