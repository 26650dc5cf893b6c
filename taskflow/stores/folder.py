"""`FolderStore`: large arguments and results in a folder that all machines share."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from taskflow.errors import InvalidOption

_KEY = re.compile(r"(?:(?!\.)[A-Za-z0-9._~%-]+/)*(?!\.)[A-Za-z0-9._~%-]+")
"""No part begins with a dot: it would be hidden, or lead out of the folder."""

_TRIES = 100
"""How often a folder is made anew that somebody else removes as empty at the same moment."""


class FolderStore:
    """Keeps each thing in a file of its own, which only this user can read.

    A file is there whole or not at all, also after a loss of power. On several machines the folder has to be one that they share,
    over NFS for example.

    Args:
        folder: where. It is made if it is not there.

    Raises:
        InvalidOption: it is not absolute: programs that are started in different folders would not find each other's files.

    Example:
        >>> app = TaskFlow("shop", store=FolderStore("/mnt/shared/taskflow"))      # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_absolute():
            raise InvalidOption(
                f"the folder of a store must be absolute, not {str(folder)!r}; use Path(...).absolute()"
            )

    def __repr__(self) -> str:
        return f"FolderStore({str(self.folder)!r})"

    def put(self, key: str, data: bytes) -> None:
        """Keep this under the key."""
        path = self._path(key)
        for left in reversed(range(_TRIES)):
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
                break
            except (FileNotFoundError, FileExistsError):
                if not left:
                    raise
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        self._sync(path.parent)

    def get(self, key: str) -> bytes:
        """What is kept under the key; raises KeyError if nothing is."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None

    def delete(self, key: str) -> None:
        """Keep it no more."""
        path = self._path(key)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another file is there, or somebody else was quicker
            path.parent.rmdir()

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise KeyError(key)
        return self.folder / key

    @staticmethod
    def _sync(folder: Path) -> None:
        """Make the file's name last, too."""
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
