"""Hosts that say nothing, for the tests: on loopback, without rights.

A host that is gone answers nothing, where a process that was killed answers with a reset.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest


class BlackHole:
    """Drops every SYN: a listening socket whose queue is full."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._fillers: list[socket.socket] = []
        try:
            self._fill(host, port)
        except BaseException:
            self.close()
            raise

    def _fill(self, host: str, port: int) -> None:
        self._listener.bind((host, port))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            assert filler.connect_ex((host, self.port)) in (0, errno.EINPROGRESS)
            self._fillers.append(filler)
        probe = socket.socket()
        probe.settimeout(0.2)
        with probe, pytest.raises(TimeoutError):
            probe.connect((host, self.port))

    def close(self) -> None:
        """The host is there again, and nobody listens."""
        for one in (*self._fillers, self._listener):
            one.close()

    def __enter__(self) -> BlackHole:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Mute:
    """Takes connections and says nothing, whatever comes. `reads`: whether it takes what comes off the line."""

    def __init__(self, host: str = "127.0.0.1", *, reads: bool = True) -> None:
        self._listener = socket.create_server((host, 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._taken: list[socket.socket] = []
        self._reads = reads
        self._threads = [threading.Thread(target=self._take)]
        self._threads[0].start()

    def _take(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            self._taken.append(one)
            if self._reads:
                thread = threading.Thread(target=self._swallow, args=(one,))
                self._threads.append(thread)
                thread.start()

    def _swallow(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while one.recv(65536):
                pass

    def close(self) -> None:
        """End it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for one in self._taken:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads[1:]:
            thread.join()

    def __enter__(self) -> Mute:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Names:
    """The resolver of this process, for some names.

    Attributes:
        hosts: the addresses of each name; they may be changed.
        asked: how often each was looked up.
    """

    def __init__(self, hosts: Mapping[str, Sequence[str]], *, silent: bool = False) -> None:
        self.hosts = dict(hosts)
        self.asked: dict[str, int] = dict.fromkeys(hosts, 0)
        self._answers = threading.Event()
        if not silent:
            self._answers.set()
        self._real = socket.getaddrinfo

    def answer(self) -> None:
        """A resolver that was silent answers, those too who have asked already."""
        self._answers.set()

    def __call__(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in self.hosts:
            return self._real(host, port, *args, **options)
        self.asked[host] += 1
        self._answers.wait(30)
        return [one for address in self.hosts[host] for one in self._real(address, port, *args, **options)]


@contextlib.contextmanager
def names(patch: pytest.MonkeyPatch, hosts: Mapping[str, Sequence[str]], **options: Any) -> Iterator[Names]:
    """Give names to addresses, in this process, until the end of the block."""
    resolver = Names(hosts, **options)
    with patch.context() as patched:
        patched.setattr(socket, "getaddrinfo", resolver)
        try:
            yield resolver
        finally:
            resolver.answer()
