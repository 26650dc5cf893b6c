"""Where everything is: the files of a data directory, and the directory of the unix sockets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from taskflow.errors import EmbeddedServerError
from taskflow.private_files import PrivateDirectory

#: A unix socket's path fits in 108 bytes with its NUL on Linux, in 104 on macOS.
_MAX_SOCKET_PATH = 103


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """The files of one node, in `node-<index>` of the data directory."""

    index: int
    folder: Path

    @property
    def conf(self) -> Path:
        """The configuration; its path on the command line is what makes a process recognisable as ours."""
        return self.folder / "server.conf"

    @property
    def log(self) -> Path:
        """What the server logs."""
        return self.folder / "server.log"

    @property
    def pid(self) -> Path:
        """The process id, written by the server itself once it is detached."""
        return self.folder / "server.pid"

    @property
    def alive(self) -> Path:
        """A file that the server keeps locked while it lives."""
        return self.folder / "alive.lock"

    @property
    def nodes_conf(self) -> Path:
        """What a cluster node knows about the cluster."""
        return self.folder / "nodes.conf"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one data directory."""

    root: Path

    @classmethod
    def of(cls, directory: Path) -> Layout:
        """Return the layout of a directory, by its real path.

        A server is recognised by the path on its command line, so all names of a directory must lead to one.
        """
        return cls(directory.resolve())

    @property
    def manifest(self) -> Path:
        """What was created here: nodes, ports, password or not."""
        return self.root / "taskflow.json"

    @property
    def password(self) -> Path:
        """The password, mode 0600."""
        return self.root / "password"

    @property
    def lock(self) -> Path:
        """Held by whoever starts or stops servers."""
        return self.root / "start.lock"

    def node(self, index: int) -> NodeFiles:
        """Return the files of one node."""
        return NodeFiles(index, self.root / f"node-{index}")

    def socket(self) -> Path:
        """Return a short path for the unix socket, in the runtime directory; creates that directory.

        Raises:
            NotPrivate: the runtime directory belongs to somebody else.
        """
        # The real path, so that two names of one directory have one socket.
        name = hashlib.sha256(os.fsencode(os.path.realpath(self.root))).hexdigest()[:16] + ".sock"
        return _runtime_directory(len(name) + 1) / name

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Turn what the file system refuses into one line that names the directory; one of somebody else's is not entered.

        Raises:
            EmbeddedServerError: it cannot be used.
            NotPrivate: it belongs to somebody else, or others may write to it: they would say which server we talk to.
        """
        try:
            if self.root.exists():
                PrivateDirectory(self.root, tighten=False).close()
            yield
        except OSError as error:
            raise EmbeddedServerError(f"the data directory {self.root} cannot be used: {error}") from error


def write_private(path: Path, text: str) -> None:
    """Replace a file, readable by its owner only; a reader sees the old or the new text, never a part."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)  # its mode might be another
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_private(path: Path) -> str | None:
    """Read a file of a directory of ours; None: it is not there.

    Raises:
        NotPrivate: the file or the directory is a link, belongs to somebody else, or others may write to it.
        UnicodeDecodeError: it is no text.
    """
    if not os.path.lexists(path):
        return None
    with PrivateDirectory(path.parent, tighten=False) as directory:
        return directory.read(path.name).decode()


def _runtime_directory(name_length: int) -> Path:
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    # After `su` the variable may name the directory of another user.
    if os.path.isabs(session) and os.path.isdir(session) and _is_ours(os.stat(session)):
        directory = Path(session) / "taskflow"
        if len(os.fsencode(directory)) + name_length <= _MAX_SOCKET_PATH:
            return _private(directory)
    # Not `tempfile.gettempdir()`: TMPDIR differs between processes that must meet, and is long on macOS.
    return _private(Path("/tmp") / f"taskflow-{os.geteuid()}")


def _is_ours(found: os.stat_result) -> bool:
    """Whether nobody else could put another directory in the place of one of ours in it."""
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _private(directory: Path) -> Path:
    # /tmp is everybody's: a directory or link that another user put there first would let him in between.
    PrivateDirectory(directory).close()
    return directory
