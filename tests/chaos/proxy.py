"""A TCP proxy in front of one server: cuts, delays, holds back, and drops replies after the command has run.

It reads both directions of the Redis protocol, so that it drops whole replies of chosen commands. After a reply that
was dropped in silence nothing more comes down that connection: in a stream there is no gap, only an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from .policy import Fate, Policy
from .resp import Splitter, command

_CHUNK = 1 << 16
_PUBSUB = ("SUBSCRIBE", "SSUBSCRIBE", "PSUBSCRIBE")
_OBSERVER = ("CLIENT", "HELLO")
"""What redis-py's own client says first, and taskflow never: such a connection is a test's, and meets no fault."""


class Proxy:
    """Listens on a free loopback port and passes everything on to `host:port`.

    Its loop runs in a thread of its own; every method may be called from any thread.

    Args:
        port: of the server, on 127.0.0.1.
        policy: the fate of each command; can be exchanged while it runs.
        rng: for delays.
    """

    def __init__(self, port: int, policy: Policy, rng: random.Random) -> None:
        self._upstream = port
        self.policy = policy
        self._rng = rng
        self._delay = (0.0, 0.0)
        self._refusing = False
        self._open = asyncio.Event()
        self._open.set()
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="chaos-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self.port = 0

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._call(self._listen())

    def stop(self) -> None:
        """Close everything."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # --- what nemeses do --------------------------------------------------------------------------------------

    def cut(self) -> int:
        """Cut every connection; how many there were."""
        return int(self._call(self._cut()))

    def refuse(self, on: bool) -> None:
        """Cut every connection and, while `on`, every new one."""
        self._refusing = on
        if on:
            self.cut()

    def delay(self, shortest: float, longest: float) -> None:
        """Hold every piece of a reply back for a while; 0, 0 ends it."""
        self._delay = (shortest, longest)

    def hole(self, on: bool) -> None:
        """Swallow everything in both directions, like a network without a route.

        What was sent in the meantime is not gone: it arrives within a second after the hole closes, one connection
        before or after the other, as TCP's repetitions would.
        """
        self._loop.call_soon_threadsafe(self._open.clear if on else self._open.set)

    # --- the loop ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._open.set()
        await self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self) -> int:
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return len(connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        if self._refusing:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream, limit=_CHUNK)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self, reader, writer, up_reader, up_writer)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def _gate(self) -> None:
        """Where every piece waits while there is a hole."""
        if not self._open.is_set():
            await self._open.wait()
            await asyncio.sleep(self._rng.uniform(0.0, 1.0))

    async def _lag(self) -> None:
        shortest, longest = self._delay
        if longest:
            await asyncio.sleep(self._rng.uniform(shortest, longest))


class _Connection:
    """One client's connection and ours to the server."""

    def __init__(
        self,
        proxy: Proxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._client = (reader, writer)
        self._server = (up_reader, up_writer)
        self._fates: deque[Fate] = deque()
        self._first = True
        self._raw = False
        """A subscriber's replies answer nothing, and an observer's are none of our business."""
        self._silent = False

    async def run(self) -> None:
        """Pass on until either side ends."""
        pumps = [
            asyncio.ensure_future(self._pump(self._client[0], self._request, self._server[1])),
            asyncio.ensure_future(self._pump(self._server[0], self._reply, self._client[1])),
        ]
        up, down = pumps
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if up.done() and not down.done():
                # The client has hung up. What it sent before still reaches the server.
                with contextlib.suppress(OSError):
                    self._server[1].write_eof()
                await asyncio.wait([down], timeout=1.0)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for _, writer in (self._client, self._server):
                writer.close()

    def abort(self) -> None:
        """Cut both sides."""
        for _, writer in (self._client, self._server):
            writer.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        handle: Callable[[bytes], bytes | None],
        writer: asyncio.StreamWriter,
    ) -> None:
        splitter = Splitter()
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._proxy._gate()
                if writer is self._client[1]:
                    await self._proxy._lag()
                if self._raw:
                    writer.write(splitter.pending + data)
                    splitter = Splitter()
                else:
                    passed = self._sift(splitter, data, handle)
                    if passed is None:
                        return
                    writer.write(passed)
                await writer.drain()

    def _sift(self, splitter: Splitter, data: bytes, handle: Callable[[bytes], bytes | None]) -> bytes | None:
        """What goes on of this piece; None when the connection is to end after what went on before."""
        passed: list[bytes] = []
        for frame in splitter.feed(data):
            what = handle(frame)
            if what is None:
                self._end(b"".join(passed), handle)
                return None
            passed.append(what)
        return b"".join(passed)

    def _end(self, passed: bytes, handle: Callable[[bytes], bytes | None]) -> None:
        """A cut in the middle of a pipeline: what stood before it still goes through."""
        if handle == self._request:
            self._server[1].write(passed)
        elif passed:
            self._client[1].write(passed)

    def _request(self, frame: bytes) -> bytes | None:
        name = command(frame)
        if self._first:
            self._first = False
            self._raw = name in _OBSERVER
        if name in _PUBSUB:
            self._raw = True
        fate = Fate.PASS if self._raw else self._proxy.policy.decide(name)
        if fate is Fate.BEFORE:
            return None
        self._fates.append(fate)
        return frame

    def _reply(self, frame: bytes) -> bytes | None:
        fate = self._fates.popleft() if self._fates else Fate.PASS
        if fate is Fate.CLOSE:
            return None
        self._silent = self._silent or fate is Fate.SILENT
        return b"" if self._silent else frame
