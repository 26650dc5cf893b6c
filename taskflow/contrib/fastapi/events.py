"""`watch_response(result, request)`: what a task does and says, as Server-Sent Events, for a browser's `EventSource`.

The stream itself, its signs of life, and its end when the client leaves or the server stops, are `sse-starlette`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from taskflow import AsyncResult, LogLines, Progress, StateChanged, Verdict
from taskflow.errors import BrokerUnavailable, ResultError, ResultMissing, ResultTimeout

from .dependencies import UNKNOWN
from .resuming import ENDED, Seen

Event = Progress | LogLines | StateChanged | Verdict

LINE_END = "\n"

PAUSE = 1.0
"""Seconds between tries while the broker is away."""

PATIENCE = 10.0
"""Seconds for reading a result that is there."""


async def watch_response(
    result: AsyncResult[Any],
    request: Request,
    *,
    timeout: float | None = None,
    heartbeat: float = 15.0,
    errors: bool = False,
    show: Callable[[Any], Any] | None = None,
) -> Response:
    """Stream what a task does until it has its verdict.

    The events are `state`, `progress`, `log` (a line) and `verdict`, each with a JSON object. Neither arguments nor results are
    among them, nor the text of an exception, unless they are asked for. A browser that has lost its connection comes back by
    itself, with the id of the last line that it has seen, and no line comes twice; after the verdict it is told not to come back.

    Args:
        result: the handle.
        request: what was asked, for the id of the event that was seen last.
        timeout: seconds after which the stream ends, so that the client comes back; None: with the verdict.
        heartbeat: seconds between comments that keep proxies from closing a quiet connection.
        errors: whether the text of what an attempt failed with is sent.
        show: gives what of the task's result is sent with the verdict, as JSON.

    Returns:
        The response. It has no content, 204, for a client that has seen the verdict.

    Raises:
        HTTPException: with 404, the queue does not know the task.
        BrokerUnavailable: the broker does not answer. One that is away later is waited for.

    Example:
        >>> @api.get("/tasks/{task_id}/events")                             # doctest: +SKIP
        ... async def events(result: Result, request: Request) -> Response:
        ...     return await watch_response(result, request)
    """
    last = request.headers.get("last-event-id", "")
    if last == ENDED:
        return Response(status_code=204)
    stream = _Stream(result, Seen(last), timeout, errors=errors, show=show)
    try:
        await stream.begin()
    except ResultMissing as error:
        raise HTTPException(404, UNKNOWN) from error
    return EventSourceResponse(
        stream.events(),
        ping=heartbeat,
        sep=LINE_END,
        ping_message_factory=lambda: ServerSentEvent(comment="keep-alive", sep=LINE_END),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class _Stream:
    """What is told of one task."""

    def __init__(
        self,
        result: AsyncResult[Any],
        seen: Seen,
        timeout: float | None,
        *,
        errors: bool,
        show: Callable[[Any], Any] | None,
    ) -> None:
        self._result = result
        self._seen = seen
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._errors = errors
        self._show = show
        self._first: Event | None = None

    async def begin(self) -> None:
        """Look for the first time: whether there is such a task at all."""
        self._watch = self._watched()
        with suppress(ResultTimeout):
            self._first = await anext(self._watch)

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """All events, to the verdict."""
        try:
            if self._first is not None:
                for told in await self._tell(self._first):
                    yield told
            while True:
                try:
                    async for event in self._watch:
                        for told in await self._tell(event):
                            yield told
                    return
                except BrokerUnavailable:
                    await asyncio.sleep(PAUSE)
                    self._seen.again()
                    self._watch = self._watched()
        except ResultTimeout:
            return
        except ResultMissing:  # it went while the broker was away
            for told in await self._tell(Verdict(None)):
                yield told
        finally:
            # Now, and not when it is collected: it has a connection of its own.
            await self._watch.aclose()

    def _watched(self) -> Any:
        left = None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)
        return aiter(self._result.watch(left))

    async def _tell(self, event: Event) -> list[ServerSentEvent]:
        match event:
            case Progress(done, total, note, _, attempt):
                return [_event("progress", done=done, total=total, note=note, attempt=attempt)]
            case LogLines():
                return self._lines(event)
            case StateChanged(state, retried, error):
                shown = {"error": error} if self._errors and error else {}
                return [_event("state", state=state, retried=retried, **shown)]
            case Verdict():
                return [await self._verdict(event)]

    def _lines(self, lines: LogLines) -> list[ServerSentEvent]:
        new, missed = self._seen.new(lines)
        told = [_event("missed", lines=missed)] if missed else []
        for line in new:
            told.append(
                _event(
                    "log",
                    self._seen.note(line),
                    text=line.text,
                    level=line.level,
                    at=line.at,
                    number=line.number,
                    attempt=line.attempt,
                )
            )
        return told

    async def _verdict(self, verdict: Verdict) -> ServerSentEvent:
        more: dict[str, Any] = {"error": verdict.error} if self._errors and verdict.error else {}
        if self._show is not None and verdict.succeeded:
            with suppress(ResultError):  # it is not kept, or gone already
                more["result"] = self._show(await self._result.aget(PATIENCE))
        return _event("verdict", ENDED, state=verdict.state, succeeded=verdict.succeeded, **more)


def _event(name: str, event_id: str | None = None, /, **data: Any) -> ServerSentEvent:
    text = msgspec.json.encode(data, enc_hook=_plain).decode()
    return ServerSentEvent(text, event=name, id=event_id, sep=LINE_END)


def _plain(value: Any) -> Any:
    """What a model of pydantic's is in JSON; anything else is refused by its type."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"a {type(value).__name__} is no JSON: let show= give what is")
