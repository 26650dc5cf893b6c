"""`Seal`: what an app's keys do to a message on its way out, and ask of it on its way in (pure).

Out: the payload is encrypted, then the message is signed. In: the signature is checked before anything of the
payload is looked at, then it is decrypted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from taskflow.errors import ContentTypeError, NotForThisWorker
from taskflow.message.encryption import ENCRYPTED, MAGIC, EncryptionKeys
from taskflow.message.secret_keys import read_keys
from taskflow.message.signing import SIGNATURE_HEADER, SigningKeys
from taskflow.message.task_message import TaskMessage, lock_key

CONTENT_TYPE_HEADER = "taskflow-content-type"
"""Says what the payload is. Without it: `application/json`."""

JSON = "application/json"
CLOUDPICKLE = "application/x-cloudpickle"


class Seal:
    """Closes and opens messages with an app's keys.

    Args:
        signing: what signs and verifies; None: signatures are neither made nor asked for.
        encryption: what encrypts and decrypts; None: payloads and results stay readable.

    Example:
        >>> seal = Seal(SigningKeys([b"correct-horse-battery"]))
        >>> closed = seal.close(TaskMessage(type="noop", payload=b"{}", id="id-1", queue="default"))
        >>> seal.check(closed, "default", b"id-1", JSON)
        >>> seal.check(closed, "other", b"id-1", JSON)
        Traceback (most recent call last):
        taskflow.errors.SignatureError: bad signature: the message was changed, or moved here from elsewhere
    """

    __slots__ = ("_encryption", "_signing")

    def __init__(self, signing: SigningKeys | None = None, encryption: EncryptionKeys | None = None) -> None:
        self._signing = signing
        self._encryption = encryption

    @classmethod
    def of(
        cls,
        signing_keys: Sequence[str | bytes] | None,
        encryption_keys: Sequence[str | bytes] | None,
        *,
        signing_environment: str | None = None,
        encryption_environment: str | None = None,
    ) -> Seal | None:
        """Make the seal of an app from what it was given.

        Args:
            signing_keys: as `TaskFlow` takes them.
            encryption_keys: as `TaskFlow` takes them.
            signing_environment: keys separated by commas, where the code gives none.
            encryption_environment: the same for encryption.

        Returns:
            The seal, or None when there is no key.

        Raises:
            InvalidOption: a list of keys that cannot be.
            ConfigurationError: encryption without the library for it.
        """
        signing = read_keys("signing_keys", signing_keys, signing_environment)
        encryption = read_keys("encryption_keys", encryption_keys, encryption_environment)
        if not signing and not encryption:
            return None
        return cls(
            SigningKeys(signing) if signing else None, EncryptionKeys(encryption) if encryption else None
        )

    def __repr__(self) -> str:
        return f"Seal({self._signing!r}, {self._encryption!r})"

    @property
    def signs(self) -> bool:
        """Whether messages are signed, and only signed ones accepted."""
        return self._signing is not None

    # --- out ------------------------------------------------------------------------------------------------

    def close(self, message: TaskMessage) -> TaskMessage:
        """Encrypt the payload and sign the message.

        A unique lock, which is otherwise named by the MD5 of the arguments, is named by a keyed hash of them
        where they are encrypted.

        Args:
            message: the message of a call.

        Returns:
            The message to store.
        """
        headers = dict(message.headers)
        name, queue, id = message.type.encode(), message.queue.encode(), message.id.encode()
        payload, lock = message.payload or b"", message.unique_key
        if self._encryption is not None:
            kind = headers.get(CONTENT_TYPE_HEADER, JSON) + ENCRYPTED
            headers[CONTENT_TYPE_HEADER] = kind
            if lock:
                digest = self._encryption.lock_digest(name, queue, payload)
                lock = lock_key(message.queue, message.type, digest)
            payload = self._encryption.encrypt(payload, b"payload", name, queue, id, kind.encode())
        if self._signing is not None:
            kind = headers.get(CONTENT_TYPE_HEADER, JSON)
            headers[SIGNATURE_HEADER] = self._signing.sign(name, queue, id, kind.encode(), payload)
        return replace(message, payload=payload, unique_key=lock, headers=headers)

    def close_result(self, message: TaskMessage, queue: str, id: bytes, result: bytes) -> bytes:
        """Encrypt a result, where there are keys for it.

        Args:
            message: the task's message.
            queue: the queue that it was taken from.
            id: the id under which it was stored.
            result: the plain result.

        Returns:
            The result to store.
        """
        if self._encryption is None:
            return result
        return self._encryption.encrypt(result, b"result", message.type.encode(), queue.encode(), id)

    # --- in -------------------------------------------------------------------------------------------------

    def check_signature(self, message: TaskMessage, queue: str, id: bytes) -> None:
        """Check the signature, where there are keys for it. Nothing of the payload is decoded for it.

        Args:
            message: the message.
            queue: the queue that it was taken from, whatever it says itself.
            id: the id under which it was stored, whatever it says itself.

        Raises:
            SignatureError: it is unsigned, or the signature does not fit.
        """
        if self._signing is None:
            return
        self._signing.check(
            message.headers.get(SIGNATURE_HEADER),
            message.type.encode(),
            queue.encode("utf-8", "surrogateescape"),
            id,
            message.headers.get(CONTENT_TYPE_HEADER, JSON).encode(),
            message.payload or b"",
        )

    def check_content(self, message: TaskMessage, expected: str) -> None:
        """Make sure that the payload is what the task takes, and that it can be decrypted here.

        Args:
            message: the message.
            expected: the content type that the task takes.

        Raises:
            ContentTypeError: it is something else.
            NotForThisWorker: the key is not among ours.
            DecryptionError: it says that it is encrypted, and is not.
        """
        kind = message.headers.get(CONTENT_TYPE_HEADER, JSON)
        if kind.removesuffix(ENCRYPTED) != expected:
            raise ContentTypeError(f"its payload is no {expected}")
        if kind.endswith(ENCRYPTED):
            if self._encryption is None:
                raise NotForThisWorker("is encrypted, and this app has no encryption keys")
            self._encryption.require(message.payload or b"")

    def check(self, message: TaskMessage, queue: str, id: bytes, expected: str) -> None:
        """Both checks, the signature first."""
        self.check_signature(message, queue, id)
        self.check_content(message, expected)

    def open(self, message: TaskMessage, queue: str, id: bytes) -> bytes | None:
        """The plain payload of a message that was checked.

        Raises:
            DecryptionError: it was changed, or moved.
            NotForThisWorker: the key is not among ours.
        """
        kind = message.headers.get(CONTENT_TYPE_HEADER, JSON)
        if not kind.endswith(ENCRYPTED):
            return message.payload
        if self._encryption is None:
            raise NotForThisWorker("is encrypted, and this app has no encryption keys")
        return self._encryption.decrypt(
            message.payload or b"",
            b"payload",
            message.type.encode(),
            queue.encode("utf-8", "surrogateescape"),
            id,
            kind.encode(),
        )

    def open_result(self, name: str, queue: str, id: str, result: bytes) -> bytes:
        """The plain result, where it is encrypted.

        Args:
            name: the task's name.
            queue: its queue.
            id: its id.
            result: what is stored.

        Raises:
            NotForThisWorker: the key is not among ours.
            DecryptionError: it was changed, or moved.
        """
        if not result.startswith(MAGIC):
            return result
        if self._encryption is None:
            raise NotForThisWorker("is encrypted, and this app has no encryption keys")
        return self._encryption.decrypt(result, b"result", name.encode(), queue.encode(), id.encode())


NO_KEYS = Seal()
"""The seal of an app without keys: it leaves everything as it is, and says what it cannot read."""
