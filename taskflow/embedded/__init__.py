"""The embedded server: a real valkey-server, or a local cluster of six, found or started for a directory.

Example:
    >>> from taskflow import embedded
    >>> embedded.ensure(embedded.parse_url("embedded://"))   # doctest: +SKIP
    'unix://:…@/run/user/1000/taskflow/5a0f….sock?db=0'
"""

from taskflow.embedded.config import EmbeddedConfig, default_directory, parse_url
from taskflow.embedded.server import ensure, stop, url
from taskflow.embedded.status import NodeStatus, ServerStatus, status

__all__ = [
    "EmbeddedConfig",
    "NodeStatus",
    "ServerStatus",
    "default_directory",
    "ensure",
    "parse_url",
    "status",
    "stop",
    "url",
]
