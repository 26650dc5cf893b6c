"""Whether the app has replaced the standard library's threads or sockets by ones that only one thread can use."""

from __future__ import annotations

import sys
from types import ModuleType

_MODULES = ("_thread", "threading", "queue", "socket", "select")
_EVENTLET = ("thread", "socket", "select")


def patched_by() -> str:
    """Who has patched what a child runs on; "" if nobody has. What is not imported has not."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and any(gevent.is_module_patched(name) for name in _MODULES):
        return "gevent"
    if eventlet is not None and any(_is_patched(eventlet, name) for name in _EVENTLET):
        return "eventlet"
    return ""


def _is_patched(eventlet: ModuleType, name: str) -> bool:
    return bool(eventlet.is_monkey_patched(name))
