"""redis-py's connections, opened under a deadline: looking up the name, every address of it, TLS, login and database together.

redis-py's own way there has a timeout for each part, none for the resolver, and with asyncio tries one address only.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any

from redis import connection as redis_connection
from redis import exceptions as redis_errors
from redis.asyncio import connection as async_redis_connection

from .async_reply_reader import AsyncReplyReader
from .dialing import adial, dial
from .greeting import Greeting
from .reply_reader import ReplyReader
from .settings import arguments, pack, tls_context
from .topology import Address
from .url import BrokerURL

_NO_GREETING = Greeting()


class _Node(ABC):
    """What a connection does, of threads or of coroutines."""

    greeting: Greeting = _NO_GREETING
    address: Address = ("", 0)
    used_at = 0.0
    """When it was last given something to do, on the monotonic clock."""
    reader: ReplyReader | AsyncReplyReader

    async def open(self: Any, until: float) -> None:
        """Connect and log in.

        Args:
            until: on the monotonic clock, for everything together.

        Raises:
            redis.exceptions.RedisError: that failed, or took too long; nothing is left open.
        """
        try:
            await self._reach(min(until, time.monotonic() + self.socket_connect_timeout))
        except TimeoutError as error:
            raise _late(self, error) from None
        except OSError as error:
            raise redis_errors.ConnectionError(self._error_message(error)) from error
        try:
            self._parser.on_connect(self)
            if wires := list(self.greeting.wires):
                replies: list[Any] = []
                self.reader.send(pack(wires), until)
                await self.read(replies, len(wires), until)
                self.greeting.check(replies, self._host_error())
        except OSError as error:
            self.drop()
            raise redis_errors.ConnectionError(self._error_message(error)) from error
        except BaseException:
            self.drop()
            raise

    @abstractmethod
    async def _reach(self, until: float) -> None:
        """Open the socket, and TLS on it."""

    @abstractmethod
    def read(self, replies: list[Any], count: int, until: float) -> Awaitable[None]:
        """Read replies, as the connection's reader does."""

    @abstractmethod
    def drop(self) -> None:
        """Close at once."""

    @abstractmethod
    def peer(self) -> Any:
        """The address that the connection leads to, of those that the name has."""


class _Opened(_Node):
    """A connection of threads: whatever is awaited here is done when it is awaited."""

    reader: ReplyReader

    async def _reach(self: Any, until: float) -> None:
        self._sock = self._dialled(until)
        self._sock.settimeout(self.socket_timeout)

    async def read(self, replies: list[Any], count: int, until: float) -> None:
        """As `ReplyReader.replies`."""
        self.reader.replies(replies, count, until)

    def drop(self: Any) -> None:
        """Close at once."""
        self.disconnect()

    def peer(self: Any) -> Any:
        """As `_Node.peer`."""
        return self._sock.getpeername()


class _Plain(_Opened, redis_connection.Connection):
    def _dialled(self, until: float) -> socket.socket:
        return dial(self.host, self.port, until, self.socket_keepalive_options)


class _Tls(_Opened, redis_connection.SSLConnection):
    tls: ssl.SSLContext

    def _dialled(self, until: float) -> socket.socket:
        sock = dial(self.host, self.port, until, self.socket_keepalive_options)
        try:
            sock.settimeout(max(until - time.monotonic(), 0.001))  # the handshake as a whole takes no longer
            return self.tls.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise


class _Unix(_Opened, redis_connection.UnixDomainSocketConnection):
    def _dialled(self, until: float) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(until - time.monotonic(), 0.001))
            sock.connect(self.path)
        except BaseException:
            sock.close()
            raise
        return sock


class _AsyncOpened(_Node):
    """A connection of coroutines."""

    reader: AsyncReplyReader

    async def _reach(self: Any, until: float) -> None:
        async with asyncio.timeout(max(until - time.monotonic(), 0.001)):
            self._reader, self._writer = await self._dialled(until)

    def read(self, replies: list[Any], count: int, until: float) -> Awaitable[None]:
        """As `AsyncReplyReader.replies`."""
        return self.reader.replies(replies, count, until)

    def drop(self: Any) -> None:
        """Close at once. A transport that is closed as usual stays until the node has taken what is still to be sent, and TLS
        would say goodbye in later turns of a loop that may be closed by then.
        """
        self._parser.on_disconnect()
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    def peer(self: Any) -> Any:
        """As `_Node.peer`."""
        return self._writer.get_extra_info("peername")


class _AsyncPlain(_AsyncOpened, async_redis_connection.Connection):
    socket_keepalive_options: Any

    async def _dialled(self, until: float) -> Any:
        sock = await adial(self.host, self.port, until, self.socket_keepalive_options)
        return await _streams(sock)


class _AsyncTls(_AsyncOpened, async_redis_connection.SSLConnection):
    socket_keepalive_options: Any
    tls: ssl.SSLContext

    async def _dialled(self, until: float) -> Any:
        sock = await adial(self.host, self.port, until, self.socket_keepalive_options)
        left = max(until - time.monotonic(), 0.001)
        return await _tls_streams(sock, self.tls, self.host, left)


class _AsyncUnix(_AsyncOpened, async_redis_connection.UnixDomainSocketConnection):
    async def _dialled(self, until: float) -> Any:
        return await asyncio.open_unix_connection(path=self.path)


async def _streams(sock: socket.socket) -> Any:
    try:
        return await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise


async def _tls_streams(sock: socket.socket, context: ssl.SSLContext, host: str, seconds: float) -> Any:
    """As `_streams`, with TLS.

    In two steps: where `open_connection` is given the socket and is cancelled before the handshake has begun, its transport
    outlives the socket, and the next one that gets the same descriptor is refused by the event loop.
    """
    loop = asyncio.get_running_loop()
    try:
        plain, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(
            plain, protocol, context, server_hostname=host, ssl_handshake_timeout=seconds
        )
        if transport is None:
            raise ConnectionResetError("the connection broke in the TLS handshake")
    except BaseException:
        plain.abort()
        raise
    protocol.connection_made(transport)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def node(url: BrokerURL, address: Address, greet: Greeting, *, sentinel: bool = False) -> Any:
    """A connection to a node, not opened yet; `sentinel`: to a Sentinel."""
    kind: Any = _Unix if url.kind == "unix" else _Tls if url.tls else _Plain
    return _made(kind, ReplyReader, url, address, greet, sentinel)


def async_node(url: BrokerURL, address: Address, greet: Greeting, *, sentinel: bool = False) -> Any:
    """As `node`, for coroutines."""
    kind: Any = _AsyncUnix if url.kind == "unix" else _AsyncTls if url.tls else _AsyncPlain
    return _made(kind, AsyncReplyReader, url, address, greet, sentinel)


def _made(kind: Any, parser: type, url: BrokerURL, address: Address, greet: Greeting, sentinel: bool) -> Any:
    made = kind(**arguments(url, address, sentinel=sentinel), parser_class=parser)
    made.greeting, made.address = greet, address
    if url.tls:
        made.tls = tls_context(url)
    return made


def _late(connection: Any, error: TimeoutError) -> redis_errors.TimeoutError:
    return redis_errors.TimeoutError(str(error) or f"no connection to {connection._host_error()} in time")
