"""A network of the test's own: hosts with addresses, on one bridge, that can be made silent or cut off from each other.

Each host is a network namespace that a process keeps alive; the client's has its own `/etc/hosts` too. When those processes
end, which they do with the test run however it ends, everything is gone: nothing has a name that could be left behind. Needs
`unshare`, `nsenter` (util-linux), `ip` (iproute2) and the right to make namespaces; no firewall.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest

T = TypeVar("T")

_NET = "10.77.0"
_CLIENT = 254
_CLONE_NEWNET = 0x40000000


@cache
def why_not() -> str:
    """Why there can be no such network here; empty where there can."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed (util-linux, iproute2)"
    try:
        with Network(Path("/tmp"), hosts=1, names=False):
            return ""
    except (OSError, subprocess.SubprocessError, AssertionError) as error:
        said = getattr(error, "stderr", "") or error
        return f"no right to make network namespaces, bridges and veths here: {str(said).strip()[-200:]}"


def needed() -> None:
    """Skip the test where there can be no such network, with the reason; in CI it fails."""
    if not (reason := why_not()):
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Host:
    """One host with its address."""

    def __init__(self, network: Network, number: int) -> None:
        self.number = number
        self.address = f"{_NET}.{number}"
        self._network = network
        self._holder = _hold()
        self._silent = False

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that shall run here."""
        return ["nsenter", f"--target={self._holder.pid}", "--net"]

    def start(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a program here; whoever starts it ends it."""
        with log.open("ab") as file:
            return subprocess.Popen(
                [*self.prefix, *command], stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    def ip(self, *lines: str) -> None:
        """Lines of `ip -batch`, carried out here."""
        _ip(self.prefix, lines)

    def silence(self) -> None:
        """Nothing gets here or away any more, and nobody is told."""
        self._network.ip(f"link set h{self.number} down")

    def speak(self) -> None:
        """As before."""
        self._network.ip(f"link set h{self.number} up")

    def cut_off(self, others: Sequence[Host]) -> None:
        """No word between this host and the others; the client reaches all of them."""
        self.ip(*(f"route replace blackhole {other.address}/32" for other in others))
        for other in others:
            other.ip(f"route replace blackhole {self.address}/32")

    def rejoin(self, others: Sequence[Host]) -> None:
        """As before."""
        self.ip(*(f"route del blackhole {other.address}/32" for other in others))
        for other in others:
            other.ip(f"route del blackhole {self.address}/32")

    def setup(self, neighbours: Sequence[str]) -> None:
        """Join the network. All know each other's hardware address, so that a silent host is silent and not "unreachable"."""
        self._network.ip(
            f"link add h{self.number} type veth peer name eth0 netns {self._holder.pid}",
            f"link set h{self.number} master bridge up",
        )
        self.ip(
            "link set lo up",
            f"link set eth0 address {_hardware(self.number)}",
            f"address add {self.address}/24 dev eth0",
            "link set eth0 up",
            *neighbours,
        )

    def close(self) -> None:
        """The end of the host, but not of what runs on it."""
        _let_go(self._holder)


class Network:
    """Hosts 1 to `hosts`, and a client that reaches all of them.

    Args:
        directory: where the client's `/etc/hosts` is kept.
        hosts: how many.
        names: whether the client has an `/etc/hosts` of its own.
    """

    def __init__(self, directory: Path, hosts: int, *, names: bool = True) -> None:
        self._names = directory / "hosts" if names else None
        self._count = hosts
        self.hosts: list[Host] = []

    def __enter__(self) -> Self:
        self._holder = _hold("--mount", "--propagation=private")
        self._inside = ThreadPoolExecutor(1, "client", self._enter_namespace)
        try:
            self._set_up()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that shall run where the client is."""
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--mount"]

    def ip(self, *lines: str) -> None:
        """Lines of `ip -batch`, carried out where the client and the bridge are."""
        _ip(self.prefix, lines)

    def call(self, function: Callable[[], T]) -> T:
        """What a function returns that is called where the client is: what it connects to, it reaches."""
        return self._inside.submit(function).result()

    def name(self, **addresses: Sequence[str]) -> None:
        """Let the client find these addresses under each of these names, and under no other."""
        assert self._names is not None
        lines = [f"{address} {name}.test" for name, found in addresses.items() for address in found]
        # In place: it is mounted over the real one.
        self._names.write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")

    def _set_up(self) -> None:
        self.ip(
            "link set lo up",
            "link add bridge type bridge",
            f"link set bridge address {_hardware(_CLIENT)}",
            f"address add {_NET}.{_CLIENT}/24 dev bridge",
            "link set bridge up",
        )
        self.hosts = [Host(self, number) for number in range(1, self._count + 1)]
        numbers = [*range(1, self._count + 1), _CLIENT]
        for host in self.hosts:
            host.setup([_neighbour(number, "eth0") for number in numbers if number != host.number])
        self.ip(*(_neighbour(host.number, "bridge") for host in self.hosts))
        if self._names is not None:
            self.name()
            subprocess.run(
                [*self.prefix, "mount", "--bind", str(self._names), "/etc/hosts"],
                check=True,
                capture_output=True,
            )

    def _enter_namespace(self) -> None:
        library: Any = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(f"/proc/{self._holder.pid}/ns/net", os.O_RDONLY)
        try:
            # Of this thread only, which ends with the network.
            if library.setns(descriptor, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(descriptor)

    def _close(self) -> None:
        self._inside.shutdown()
        for host in self.hosts:
            host.close()
        _let_go(self._holder)


def _hold(*more: str) -> subprocess.Popen[bytes]:
    """A process that keeps a namespace; it ends with its stdin, so also when the test run is killed."""
    holder = subprocess.Popen(
        ["unshare", "--net", *more, "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    ours = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + 10
    while True:
        if holder.poll() is not None:
            assert holder.stderr is not None
            assert holder.stdin is not None
            said = holder.stderr.read().decode()
            holder.stdin.close()
            holder.stderr.close()
            raise OSError(said)
        with contextlib.suppress(OSError):
            # Until it is `cat`, it may still be in our namespaces, or on its way.
            command = Path(f"/proc/{holder.pid}/comm").read_text().strip()
            if command == "cat" and os.readlink(f"/proc/{holder.pid}/ns/net") != ours:
                return holder
        assert time.monotonic() < deadline, "unshare does not come to an end"
        time.sleep(0.005)


def _let_go(holder: subprocess.Popen[bytes]) -> None:
    assert holder.stdin is not None
    assert holder.stderr is not None
    holder.stdin.close()
    holder.kill()
    holder.wait(10)
    holder.stderr.close()


def _ip(prefix: Sequence[str], lines: Sequence[str]) -> None:
    if lines:
        subprocess.run(
            [*prefix, "ip", "-batch", "-"],
            input="\n".join(lines) + "\n",
            check=True,
            capture_output=True,
            text=True,
        )


def _hardware(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def _neighbour(number: int, device: str) -> str:
    return f"neighbour replace {_NET}.{number} lladdr {_hardware(number)} dev {device} nud permanent"
