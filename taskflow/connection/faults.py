"""What an error from the server or the socket means for the next step (pure).

The rule is the other way round than usual: everything is "try again until the deadline" unless it is known
that trying again cannot help. Lists of retryable errors miss the next one (chrisguidry/docket#477).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .topology import Address


class Remedy(Enum):
    """What to do about a failed command."""

    AGAIN = "send it again at once"
    LOAD = "the script is not in this node's cache: send its text"
    MOVED = "the slot has another owner"
    ASK = "the key is on its way: ask the other node, once"
    WAIT = "look at the topology, wait, send it again"
    AUTH = "only the operator can help: password or permissions"
    FATAL = "the command itself is wrong"


@dataclass(frozen=True, slots=True)
class Fault:
    """An error, understood. `refused`: the node did not begin with the command."""

    remedy: Remedy
    text: str
    slot: int = -1
    address: Address | None = None
    refused: bool = False


_AUTH = (
    "NOAUTH",
    # What a server says to a long command before the login.
    "unauthenticated",
    "WRONGPASS",
    "NOPERM",
    "invalid username-password",
    "DENIED",
    "AUTH failed",
    # Where a script lacks a right, the server says so with another first word, or with none.
    "ACL failure in script",
)
_TRANSIENT = (
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "NOREPLICAS",
    "MISCONF",
    "TRYAGAIN",
    "UNBLOCKED",
    "BUSY",
    "OOM",
    # A slot that moved in the middle of a script: what it had written stays, and its repetition is
    # idempotent.
    "non local key",
)


def understand(error: Exception) -> Fault:
    """Say what an error reply means.

    Example:
        >>> from redis.exceptions import ResponseError
        >>> understand(ResponseError("CLUSTERDOWN The cluster is down")).remedy
        <Remedy.WAIT: 'look at the topology, wait, send it again'>
    """
    from redis import exceptions as redis_errors

    text = _text(error)
    if isinstance(error, redis_errors.NoScriptError):
        return Fault(Remedy.LOAD, text)
    if isinstance(error, redis_errors.MovedError):
        return Fault(Remedy.MOVED, text, slot=error.slot_id, address=(error.host, int(error.port)))
    if isinstance(error, redis_errors.AskError):
        return Fault(Remedy.ASK, text, slot=error.slot_id, address=(error.host, int(error.port)))
    if isinstance(error, redis_errors.ClusterDownError | redis_errors.MasterDownError):
        # The same errors have other words when a script meets them while it runs.
        return Fault(Remedy.WAIT, text, refused=True)
    if isinstance(error, redis_errors.ClusterCrossSlotError):
        return Fault(Remedy.FATAL, text)
    if isinstance(error, redis_errors.AuthenticationError | redis_errors.NoPermissionError):
        return Fault(Remedy.AUTH, text)
    if any(word in text for word in _AUTH):
        return Fault(Remedy.AUTH, text)
    if any(word in text for word in _TRANSIENT):
        return Fault(Remedy.WAIT, text)
    if text.startswith(("ERR", "WRONGTYPE", "CROSSSLOT")) or (
        type(error) is redis_errors.ResponseError and _is_plain(text)
    ):
        return Fault(Remedy.FATAL, text)
    return Fault(Remedy.WAIT, text)


def is_timeout(error: Exception) -> bool:
    """Whether no reply came in time, on a connection that did not break."""
    from redis import exceptions as redis_errors

    return isinstance(error, redis_errors.TimeoutError | TimeoutError)


def _is_plain(text: str) -> bool:
    """Whether redis-py has cut an `ERR ` off the front: the text begins with no error word in capitals."""
    word = text.split(" ", 1)[0].rstrip(":")
    return not (word.isupper() and word.isalpha() and len(word) > 2)


def _text(error: Exception) -> str:
    from redis import exceptions as redis_errors

    if isinstance(error, redis_errors.MovedError | redis_errors.AskError):
        return f"{type(error).__name__} {error.slot_id} {error.host}:{error.port}"
    # A script's error may quote its input; the first line is the server's own words.
    return str(error).split("\n", 1)[0][:300] or type(error).__name__
