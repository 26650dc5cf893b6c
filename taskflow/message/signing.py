"""Signatures: an HMAC-SHA256 over what a task is and what it carries, in a header of its message (pure).

The result of a task has a signature of its own, in another header, made by the worker. What is signed, and how a program
in another language checks it, is in docs/security.md, section "Signatures on the wire"; tests/security/vectors.json has
examples of it.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from enum import Enum

from taskflow.errors import SignatureError
from taskflow.message.secret_keys import fields, key_id

SIGNATURE_HEADER = "taskflow-sig"
"""Holds `v1:<key id>:<signature>`: eight hexadecimal digits, and base64url without padding."""

RESULT_SIGNATURE_HEADER = "taskflow-result-sig"
"""The same for the result, in the message of a completed task."""

_VERSION = "v1"


class Purpose(Enum):
    """What a signature is for. One that was made for a payload is none for a result."""

    MESSAGE = b"taskflow-sig/1"
    RESULT = b"taskflow-result-sig/1"


class Flaw(Enum):
    """Why a signature proves nothing."""

    MISSING = "missing"
    UNKNOWN_KEY = "unknown key"
    WRONG = "wrong"


def signed_bytes(
    name: bytes,
    queue: bytes,
    id: bytes,
    content_type: bytes,
    content: bytes,
    purpose: Purpose = Purpose.MESSAGE,
) -> bytes:
    """What is signed: the version, which says what for, and these five, each after its length.

    Args:
        name: the task's name.
        queue: the queue it is in.
        id: its id.
        content_type: what the payload or result is.
        content: the payload or result as it is stored.
        purpose: which of the two.

    Returns:
        The bytes.
    """
    return fields(purpose.value, name, queue, id, content_type, content)


class SigningKeys:
    """The keys of an app: the first signs, every one of them verifies.

    Args:
        keys: at least one, as `secret_keys.read_keys` gives them.

    Example:
        >>> keys = SigningKeys([b"correct-horse-battery"])
        >>> header = keys.sign(b"noop", b"default", b"id-1", b"application/json", b"{}")
        >>> header
        'v1:7d78ca6b:p9ArUfI_DyaoD69MH0LZmyCf7X1Q7-YPihbtk0VKO3g'
        >>> keys.check(header, b"noop", b"default", b"id-1", b"application/json", b"{}")
    """

    __slots__ = ("_keys", "_signs_with")

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key).hex(): key for key in keys}
        self._signs_with = next(iter(self._keys))

    def __repr__(self) -> str:
        return f"SigningKeys({', '.join(self._keys)})"

    def __reduce__(self) -> str:
        raise TypeError("signing keys are never pickled")

    def sign(
        self,
        name: bytes,
        queue: bytes,
        id: bytes,
        content_type: bytes,
        content: bytes,
        purpose: Purpose = Purpose.MESSAGE,
    ) -> str:
        """Sign with the first key.

        Returns:
            The value of the header.
        """
        return self._header(self._signs_with, signed_bytes(name, queue, id, content_type, content, purpose))

    def flaw(
        self,
        header: str | None,
        name: bytes,
        queue: bytes,
        id: bytes,
        content_type: bytes,
        content: bytes,
        purpose: Purpose = Purpose.MESSAGE,
    ) -> Flaw | None:
        """What is wrong with the value of the header, found in constant time; None: nothing.

        Args:
            header: the value; None: there is no such header.
            name: the task's name, as the message says.
            queue: the queue that the task was found in, whatever its message says.
            id: the id under which it was stored, whatever its message says.
            content_type: what the content is.
            content: the payload or result as it is stored.
            purpose: which of the two.
        """
        if header is None:
            return Flaw.MISSING
        key = header[len(_VERSION) + 1 :].partition(":")[0]
        if key not in self._keys:
            return Flaw.UNKNOWN_KEY
        expected = self._header(key, signed_bytes(name, queue, id, content_type, content, purpose))
        same = hmac.compare_digest(expected.encode(), header.encode("utf-8", "surrogatepass"))
        return None if same else Flaw.WRONG

    def check(
        self, header: str | None, name: bytes, queue: bytes, id: bytes, content_type: bytes, payload: bytes
    ) -> None:
        """Check the signature of a message; see `flaw`.

        Raises:
            SignatureError: there is none, or it does not fit.
        """
        match self.flaw(header, name, queue, id, content_type, payload):
            case Flaw.MISSING:
                raise SignatureError("unsigned", "this app runs signed messages only")
            case Flaw.UNKNOWN_KEY:
                raise SignatureError("bad signature", "it was signed with a key that this app does not have")
            case Flaw.WRONG:
                raise SignatureError("bad signature", "the message was changed, or moved here from elsewhere")

    def _header(self, key: str, signed: bytes) -> str:
        mac = hmac.digest(self._keys[key], signed, "sha256")
        return f"{_VERSION}:{key}:{urlsafe_b64encode(mac).rstrip(b'=').decode()}"
