"""Tells a child what becomes known in the worker process, which has no user code: whoever listens is in the child."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..pipe import frames
from ..telemetry.events import ChildStarted, Event
from ..telemetry.telling import attach_in, family
from .children.child import Child

MOST = 1000
"""Events that wait to be told, while there is no child to tell them or many come at once: of more, the oldest are left out."""


class Relay:
    """Hears what an app listens to, and tells it to one of the children, in batches.

    Args:
        children: those that run now; the supervisor changes the list.
    """

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._untold: deque[tuple[str, dict[str, Any]]] = deque(maxlen=MOST)
        self._known: set[str] = set()
        self._detach: list[Callable[[], None]] = []
        self._flushing = False

    def learn(self, hello: frames.Hello) -> None:
        """A child has said what the app is."""
        fresh = set(hello.hears) - self._known
        if not fresh:
            return
        if not self._known:
            self._detach.append(attach_in(None, self._child_started, [ChildStarted]))
        self._known |= fresh
        kinds = [kind for kind in family(Event) if kind.__name__ in fresh and "worker" in kind.told_in]
        self._detach.append(attach_in(None, self._hear, kinds))

    def close(self) -> None:
        """Hear nothing any more."""
        for detach in self._detach:
            detach()
        self._detach.clear()

    def _hear(self, event: Event) -> None:
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        told = {name: value for name, value in fields.items() if not isinstance(value, BaseException)}
        self._untold.append((type(event).__name__, told))
        self._soon()

    def _child_started(self, _event: Event) -> None:
        if self._untold:
            self._soon()

    def _soon(self) -> None:
        """In the next round of the loop: many that come at once go together."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        child = next((one for one in self._children if not (one.closed or one.quarantined)), None)
        if child is None or not self._untold:
            return
        items = list(self._untold)
        self._untold.clear()
        child.send(frames.Told(items))
