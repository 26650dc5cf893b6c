"""What a broker's URL comes to, found out once by whichever thread needs it first."""

from __future__ import annotations

import threading

from ..errors import BrokerUnavailable
from .settings import resolve, topology_of
from .topology import Topology
from .url import BrokerURL, parse


class Resolving:
    """The URL of a driver, and the topology that it begins with.

    Args:
        url: the broker, as a URL or parsed.
    """

    def __init__(self, url: str | BrokerURL) -> None:
        self._given = url
        self._begin()

    def _begin(self) -> None:
        """As nobody had asked yet, with a fresh lock: in a forked child, too."""
        self._url: BrokerURL | None = None
        self._topology: Topology | None = None
        # A signal handler may come in here on the thread that holds it.
        self._lock = threading.RLock()
        self._starts = False

    @property
    def url(self) -> BrokerURL:
        """The broker's URL; an embedded server is started by asking."""
        if self._url is None:
            with self._lock:
                if self._url is None:
                    self._resolve()
        assert self._url is not None
        return self._url

    @property
    def topology(self) -> Topology:
        """Who owns which slot, as far as known."""
        assert self.url is not None
        assert self._topology is not None
        return self._topology

    def _resolve(self) -> None:
        given = parse(self._given) if isinstance(self._given, str) else self._given
        if given.kind == "embedded" and self._starts:
            raise BrokerUnavailable(
                "the embedded server is being started by the very code that this call has interrupted (from a signal handler "
                "or a finalizer): start it before, with `taskflow server start` or a first call"
            )
        self._starts = True
        try:
            url = resolve(given)
        finally:
            self._starts = False
        self._topology = topology_of(url)
        self._url = url
