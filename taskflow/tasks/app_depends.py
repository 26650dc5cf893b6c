"""An app, what its tasks depend on, and what its processes keep: `app.dependency_overrides`, `@app.resource`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from .app_middleware import AppMiddleware

if TYPE_CHECKING:
    # Only where they are used: most apps start without them.
    from .depends import Dependency, Overrides
    from .injection import Injection
    from .resources import Lifespan, Resource

T = TypeVar("T")

MARKS = ("taskflow.tasks.depends", "fastapi.params")
"""Where nothing has imported one of these, no parameter of any function can depend on anything."""


class ResourceDecorator(Protocol):
    """What `@app.resource(...)` gives."""

    @overload
    def __call__(
        self, function: Callable[..., Iterator[T] | AbstractContextManager[T]], /
    ) -> Resource[T]: ...
    @overload
    def __call__(
        self, function: Callable[..., AsyncIterator[T] | AbstractAsyncContextManager[T]], /
    ) -> Resource[T]: ...
    @overload
    def __call__(self, function: Callable[..., Coroutine[Any, Any, T]], /) -> Resource[T]: ...
    @overload
    def __call__(self, function: Callable[..., T], /) -> Resource[T]: ...


class AppDepends(AppMiddleware):
    """The part of an app that injects; `TaskFlow` sets what is declared here."""

    _overrides: Overrides | None
    _lifespan: Lifespan | None

    @property
    def dependency_overrides(self) -> Overrides:
        """What stands in for dependencies, in tests: `app.dependency_overrides[get_db] = fake_db`, for all tasks from then on; or
        `with app.dependency_overrides.using({get_db: fake_db}):`, for a block.
        """
        if self._overrides is None:
            from .depends import Overrides

            self._overrides = Overrides()
        return self._overrides

    @overload
    def resource(
        self, function: Callable[..., Iterator[T] | AbstractContextManager[T]], /
    ) -> Resource[T]: ...
    @overload
    def resource(
        self, function: Callable[..., AsyncIterator[T] | AbstractAsyncContextManager[T]], /
    ) -> Resource[T]: ...
    @overload
    def resource(self, function: Callable[..., Coroutine[Any, Any, T]], /) -> Resource[T]: ...
    @overload
    def resource(self, function: Callable[..., T], /) -> Resource[T]: ...
    @overload
    def resource(self, function: None = None, /, *, start: bool = False) -> ResourceDecorator: ...
    def resource(self, function: Any = None, /, *, start: bool = False) -> Any:
        """Make a function give what each child makes once, and closes at its stop, such as an engine or a pool of connections.

        Tasks get its value by `Depends`. What was made last is closed first. In eager mode `app.close()` closes it; what is made
        on an event loop is made there for each task, since the loop of one need not be that of the next.

        Args:
            function: a generator function that yields it once, or one with `contextlib.contextmanager`, or a function that
                returns it; or a coroutine twin of these, run on the child's event loop. It may depend on other resources.
            start: whether a child makes it before it takes tasks, and does not start if that fails. Without it, it is made when
                the first task needs it.

        Returns:
            A `Resource`: `Depends(engine)`, or `engine.value`.

        Raises:
            ConfigurationError: a parameter of it is filled by nobody, or depends on something that ends with a task.

        Example:
            >>> @app.resource                                               # doctest: +SKIP
            ... def engine() -> Iterator[Engine]:
            ...     engine = create_engine(URL)
            ...     yield engine
            ...     engine.dispose()
        """
        from .resources import Lifespan, Resource

        if self._lifespan is None:
            self._lifespan = Lifespan(shares_loop=lambda: not self.eager)
        lifespan = self._lifespan

        def keep(function: Callable[..., Any]) -> Resource[Any]:
            made: Resource[Any] = Resource(lifespan, function, start=start)
            lifespan.resources.append(made)
            return made

        return keep if function is None else keep(function)

    def _injected(self, function: Callable[..., Any], name: str) -> dict[str, Dependency]:
        """The parameters of a task's function that are not in its payload."""
        if not any(mark in sys.modules for mark in MARKS):
            return {}
        from .depends import dependencies_of

        return dependencies_of(function, f"task {name!r}")

    def _injection(self, injected: dict[str, Dependency], name: str, *, is_async: bool) -> Injection | None:
        """What makes them."""
        if not injected:
            return None
        from .injection import Injection

        return Injection(injected, self.dependency_overrides, name, is_async=is_async)

    def close(self) -> None:
        """Close the idle connections of threads, and what this app's resources have made here. The app can be used again."""
        super().close()
        if self._lifespan is not None:
            self._lifespan.close(_nowhere)


def _nowhere(coroutine: Any) -> None:
    """Outside of a child nothing is kept that was made on an event loop."""
    coroutine.close()
