"""Stores for large arguments and results: `TaskFlow(store=FolderStore("/mnt/shared/taskflow"))`.

`Store` says what one has to have: `put`, `get` and `delete`.
"""

from .folder import FolderStore
from .protocol import Store
from .s3 import S3Store

__all__ = ["FolderStore", "S3Store", "Store"]
