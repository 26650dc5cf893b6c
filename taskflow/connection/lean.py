"""redis-py without what a worker has no use for.

Of some sixty modules a worker needs the connections; half of the time until it began went into all commands, clusters, sentinels,
and OpenTelemetry where that is installed. This module imports next to nothing: it is asked before anything else is imported.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_loading = threading.RLock()


class _Package(ModuleType):
    """A package whose own code runs when something of it is asked for, and not when one of its modules is imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__all__", "__version__"):
            raise AttributeError(name)
        if find_spec(f"{self.__name__}.{name}") is not None:
            return import_module(f"{self.__name__}.{name}")
        with _loading:
            if (
                self.__dict__.pop("_waits", False)
                and self.__spec__ is not None
                and self.__spec__.loader is not None
            ):
                self.__spec__.loader.exec_module(self)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None


def keep_redis_lean() -> None:
    """Import of redis-py only what is asked for, in this process, from now on.

    For a process in which nobody else's code runs: who watches what is imported (a profiler, a tracer) would be surprised.
    Nothing is missing: what is asked for and not there yet is imported then. OpenTelemetry is kept from redis-py, which would
    import all of it for metrics that nobody has asked this process for.
    """
    if "redis" in sys.modules:
        return
    for name in ("redis", "redis.asyncio"):
        spec = find_spec(name)
        if spec is None:
            return
        module = module_from_spec(spec)
        module.__class__ = _Package
        module.__dict__["_waits"] = True
        sys.modules[name] = module
    sys.modules["redis"].asyncio = sys.modules["redis.asyncio"]  # type: ignore[attr-defined]
    before = sys.modules.get("opentelemetry")
    sys.modules["opentelemetry"] = None  # type: ignore[assignment]
    try:
        import_module("redis.asyncio.connection")
    finally:
        del sys.modules["opentelemetry"]
        if before is not None:
            sys.modules["opentelemetry"] = before
