"""Folders and files that only their owner may write to, in places where anybody may make some (`/tmp`).

Whoever can make a folder before we do, or a link in its place, decides what we read there and what we overwrite. So there is one
way to open such a folder: what is looked at is what was opened, not a name that may mean something else a moment later, and
files are opened relative to it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import NotPrivate

MOST_BYTES = 1 << 20
"""What is read of a file at most."""


class PrivateDirectory:
    """An open folder that belongs to this user, and that nobody else may enter.

    It is used as a context manager, or closed by hand.

    Args:
        path: where it is. It is made, and what is above it, if it is not there.
        tighten: a folder of ours that others may read is closed to them; False: only one that others may write to is refused.

    Raises:
        NotPrivate: it is a link or a file, belongs to somebody else, or others may write to it.
        OSError: it is not there and cannot be made.

    Example:
        >>> import tempfile
        >>> with PrivateDirectory(Path(tempfile.mkdtemp()) / "mine") as mine:
        ...     mine.write("state", b"well")
        ...     mine.read("state"), mine.names()
        (b'well', ['state'])
    """

    def __init__(self, path: Path, *, tighten: bool = True) -> None:
        self.path = path
        if not os.path.lexists(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                raise NotPrivate(path, "is a link or a file, not a folder") from error
            if isinstance(error, PermissionError):
                raise NotPrivate(path, "is closed to this user") from error
            raise
        try:
            self._examine(tighten=tighten)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it. May be called again."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def names(self) -> list[str]:
        """What is in it, sorted."""
        return sorted(os.listdir(self.descriptor))

    def read(self, name: str) -> bytes:
        """The content of a file, 1 MiB of it at most.

        Raises:
            NotPrivate: it is no plain file, belongs to somebody else, or others may write to it.
            OSError: it cannot be read, or is not there.
        """
        try:
            # A pipe would keep us waiting for whoever writes to it.
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.descriptor)
        except OSError as error:
            if self._is_link(name):
                raise NotPrivate(self.path / name, "is a link") from error
            raise
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise NotPrivate(self.path / name, "is not a plain file")
            _check_owner(self.path / name, found)
            return file.read(MOST_BYTES)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which is there as a whole or not at all; one of this name is replaced, a link is not followed.

        Raises:
            OSError: it cannot be written.
        """
        fresh = f".{name}.{secrets.token_hex(4)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(fresh, flags, 0o600, dir_fd=self.descriptor)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.replace(fresh, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except BaseException:
            self.remove(fresh)
            raise

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def _examine(self, *, tighten: bool) -> None:
        found = os.fstat(self.descriptor)
        _check_owner(self.path, found)
        if tighten and stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(self.descriptor, 0o700)

    def _is_link(self, name: str) -> bool:
        try:
            found = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISLNK(found.st_mode)


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Raise NotPrivate unless it is ours and nobody else may have put something into it."""
    if found.st_uid != os.geteuid():
        raise NotPrivate(path, f"belongs to another user (uid {found.st_uid})")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o022:
        raise NotPrivate(path, f"can be written to by others (mode {mode:04o})")
