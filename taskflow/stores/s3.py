"""`S3Store`: large arguments and results in a bucket of S3, or of what speaks its language (the extra `s3`: boto3)."""

from __future__ import annotations

import os
import threading
from typing import Any

from taskflow.errors import ConfigurationError


class S3Store:
    """Keeps each thing in an object of its own.

    The client is made at the first use, in each process its own. Region, credentials and endpoint are found as boto3 finds them,
    unless they are given.

    Args:
        bucket: its name. It has to be there.
        prefix: what the keys begin with, as `"taskflow/"`.
        **client: for `boto3.client("s3", ...)`, as `endpoint_url` and `region_name`.

    Raises:
        ConfigurationError: boto3 is not installed.

    Example:
        >>> app = TaskFlow("shop", store=S3Store("my-bucket", "taskflow/"))      # doctest: +SKIP
    """

    def __init__(self, bucket: str, prefix: str = "", **client: Any) -> None:
        try:
            # Here, since it is an extra, and takes its time.
            import boto3
        except ModuleNotFoundError:
            raise ConfigurationError(
                "S3Store needs the library `boto3`: pip install 'taskflow-queue[s3]'"
            ) from None
        self.bucket = bucket
        self.prefix = prefix
        self._boto3 = boto3
        self._options = client
        self._making = threading.Lock()
        self._client: tuple[int, Any] = (0, None)

    def __repr__(self) -> str:
        return f"S3Store({self.bucket!r}, {self.prefix!r})"

    def put(self, key: str, data: bytes) -> None:
        """Keep this under the key."""
        self._s3().put_object(Bucket=self.bucket, Key=self.prefix + key, Body=data)

    def get(self, key: str) -> bytes:
        """What is kept under the key; raises KeyError if nothing is."""
        s3 = self._s3()
        try:
            found: bytes = s3.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            raise KeyError(key) from None
        return found

    def delete(self, key: str) -> None:
        """Keep it no more."""
        self._s3().delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def _s3(self) -> Any:
        """The client of this process: one that a fork has inherited shares its connections with the parent."""
        pid, client = self._client
        if pid != os.getpid():
            with self._making:
                pid, client = self._client
                if pid != os.getpid():
                    client = self._boto3.session.Session().client("s3", **self._options)
                    self._client = (os.getpid(), client)
        return client
