"""One connection to a server, without any client library: what it says and when is what the kernel says."""

from __future__ import annotations

import contextlib
import socket


class Wire:
    """A TCP connection to a port of this machine. To connect to a stopped process works: the kernel answers for it.

    Example:
        >>> with contextlib.closing(Wire(7000)) as wire:     # doctest: +SKIP
        ...     wire.send("ROLE")
        ...     wire.reply(1.0)
        b'*3\\r\\n$6\\r\\nmaster\\r\\n...'
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=1.0)

    def send(self, *words: str) -> None:
        """Send one command."""
        parts = [f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]
        self._socket.sendall("".join(parts).encode())

    def reply(self, timeout: float) -> bytes:
        """The first piece of what comes back; empty if nothing does within `timeout` seconds, or the end."""
        self._socket.settimeout(timeout)
        with contextlib.suppress(OSError):
            return self._socket.recv(4096)
        return b""

    def is_master(self) -> bool:
        """Whether the server says, within a second, that it is a master."""
        try:
            self.send("ROLE")
        except OSError:
            return False
        return b"$6\r\nmaster\r\n" in self.reply(1.0)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
