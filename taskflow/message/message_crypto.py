"""`MessageCrypto`: what an app's keys do to a message on its way out, and ask of it on its way in (pure).

Out: the payload is encrypted, then the message is signed. In: the signature is checked before anything of the
payload is looked at, then it is decrypted. A result goes the same way, from the worker to whoever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from taskflow.errors import ContentTypeError, NotForThisWorker, SignatureError
from taskflow.message.encryption import ENCRYPTED, MAGIC, EncryptionKeys
from taskflow.message.secret_keys import read_keys
from taskflow.message.signing import RESULT_SIGNATURE_HEADER, SIGNATURE_HEADER, Flaw, Purpose, SigningKeys
from taskflow.message.task_message import TaskMessage, lock_key

CONTENT_TYPE_HEADER = "taskflow-content-type"
"""Says what the payload is. Without it: `application/json`."""

JSON = "application/json"
CLOUDPICKLE = "application/x-cloudpickle"


class MessageCrypto:
    """Closes and opens messages with an app's keys.

    Args:
        signing: what signs and verifies; None: signatures are neither made nor asked for.
        encryption: what encrypts and decrypts; None: payloads and results stay readable.
        accept_unsigned_results: take a result that nobody with our keys has written, too.

    Example:
        >>> crypto = MessageCrypto(SigningKeys([b"correct-horse-battery"]))
        >>> closed = crypto.close(TaskMessage(type="noop", payload=b"{}", id="id-1", queue="default"))
        >>> crypto.check(closed, "default", b"id-1", JSON)
        >>> crypto.check(closed, "other", b"id-1", JSON)
        Traceback (most recent call last):
        taskflow.errors.SignatureError: bad signature: the message was changed, or moved here from elsewhere
    """

    __slots__ = ("_accept_unsigned_results", "_encryption", "_signing")

    def __init__(
        self,
        signing: SigningKeys | None = None,
        encryption: EncryptionKeys | None = None,
        *,
        accept_unsigned_results: bool = False,
    ) -> None:
        self._signing = signing
        self._encryption = encryption
        self._accept_unsigned_results = accept_unsigned_results

    @classmethod
    def of(
        cls,
        signing_keys: Sequence[str | bytes] | None,
        encryption_keys: Sequence[str | bytes] | None,
        *,
        signing_environment: str | None = None,
        encryption_environment: str | None = None,
        accept_unsigned_results: bool = False,
    ) -> MessageCrypto | None:
        """Make the keys of an app at work from what it was given.

        Args:
            signing_keys: as `TaskFlow` takes them.
            encryption_keys: as `TaskFlow` takes them.
            signing_environment: keys separated by commas, where the code gives none.
            encryption_environment: the same for encryption.
            accept_unsigned_results: as `TaskFlow` takes it.

        Returns:
            It, or None when there is no key.

        Raises:
            InvalidOption: a list of keys that cannot be.
            ConfigurationError: encryption without the library for it.
        """
        signing = read_keys("signing_keys", signing_keys, signing_environment)
        encryption = read_keys("encryption_keys", encryption_keys, encryption_environment)
        if not signing and not encryption:
            return None
        return cls(
            SigningKeys(signing) if signing else None,
            EncryptionKeys(encryption) if encryption else None,
            accept_unsigned_results=accept_unsigned_results,
        )

    def __repr__(self) -> str:
        return f"MessageCrypto({self._signing!r}, {self._encryption!r})"

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
        payload, lock, headers = self.sealed(
            message.type,
            message.queue,
            message.id,
            message.payload or b"",
            message.unique_key,
            message.headers,
        )
        return replace(message, payload=payload, unique_key=lock, headers=headers)

    def sealed(
        self, type: str, queue: str, id: str, payload: bytes, lock: str, headers: Mapping[str, str]
    ) -> tuple[bytes, str, dict[str, str]]:
        """What `close` changes in the message of a call: payload, lock and headers, as they are stored.

        Args:
            type: the task's name.
            queue: where it is stored.
            id: under which id.
            payload: its encoded arguments.
            lock: the whole key of its lock; "" for none.
            headers: its headers.
        """
        closed = dict(headers)
        bound = type.encode(), queue.encode(), id.encode()
        kind = closed.get(CONTENT_TYPE_HEADER, JSON)
        if self._encryption is not None:
            closed[CONTENT_TYPE_HEADER] = kind = kind + ENCRYPTED
            if lock:
                digest = self._encryption.lock_digest(bound[0], bound[1], payload)
                lock = lock_key(queue, type, digest)
            payload = self._encryption.encrypt(payload, b"payload", *bound, kind.encode())
        if self._signing is not None:
            closed[SIGNATURE_HEADER] = self._signing.sign(*bound, kind.encode(), payload)
        return payload, lock, closed

    def close_result(
        self, message: TaskMessage, queue: str, id: bytes, result: bytes
    ) -> tuple[TaskMessage, bytes]:
        """Encrypt and sign a result, where there are keys for it.

        Args:
            message: the task's message.
            queue: the queue that it was taken from.
            id: the id under which it was stored.
            result: the plain result.

        Returns:
            The message to keep, which has the signature, and the result to store.
        """
        name, stored_in = message.type.encode(), queue.encode("utf-8", "surrogateescape")
        if self._encryption is not None:
            result = self._encryption.encrypt(result, b"result", name, stored_in, id)
        if self._signing is not None:
            kind = _result_kind(result)
            signature = self._signing.sign(name, stored_in, id, kind, result, Purpose.RESULT)
            message = replace(message, headers={**message.headers, RESULT_SIGNATURE_HEADER: signature})
        return message, result

    # --- in -------------------------------------------------------------------------------------------------

    def check_signature(self, message: TaskMessage, queue: str, id: bytes) -> None:
        """Check the signature, if there are signing keys. With keys of either kind, check also that the message stands where it
        says.

        Nothing of the payload is decoded for it. The signature is for the queue and the id under which the message was found.
        What the message says of its own queue and id is not signed, and must be the same.

        Args:
            message: the message.
            queue: the queue that it was taken from, whatever it says itself.
            id: the id under which it was stored, whatever it says itself.

        Raises:
            SignatureError: it is unsigned, the signature does not fit, or it names another id or queue.
        """
        stored_in = queue.encode("utf-8", "surrogateescape")
        if self._signing is not None:
            self._signing.check(
                message.headers.get(SIGNATURE_HEADER),
                message.type.encode(),
                stored_in,
                id,
                message.headers.get(CONTENT_TYPE_HEADER, JSON).encode(),
                message.payload or b"",
            )
        if (self._signing or self._encryption) and (
            message.id.encode() != id or message.queue.encode() != stored_in
        ):
            raise SignatureError(
                "bad signature", "the message names another id or queue than it is stored under"
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

    def open_result(
        self, message: TaskMessage | None, queue: str, id: bytes, result: bytes | None
    ) -> bytes | None:
        """The plain result, if somebody with our keys has written it.

        Args:
            message: the message of the completed task; None: it cannot be read.
            queue: the queue that it is in, whatever it says itself.
            id: the id under which it is stored.
            result: what is stored; None: nothing.

        Raises:
            SignatureError: there are keys, and none of them has made this result for this task.
            NotForThisWorker: it is encrypted, and the key is not among ours.
            DecryptionError: it was changed, or moved.
        """
        name = message.type.encode() if message else b""
        stored_in = queue.encode("utf-8", "surrogateescape")
        is_encrypted = result is not None and result.startswith(MAGIC)
        if self._signing is not None:
            header = message.headers.get(RESULT_SIGNATURE_HEADER) if message else None
            kind = _result_kind(result or b"")
            flaw = self._signing.flaw(header, name, stored_in, id, kind, result or b"", Purpose.RESULT)
            if flaw is not None and not (flaw is Flaw.MISSING and self._accept_unsigned_results):
                raise SignatureError(*_RESULT_FLAWS[flaw])
        elif self._encryption is not None and not is_encrypted and not self._accept_unsigned_results:
            raise SignatureError(*_RESULT_FLAWS[Flaw.MISSING])
        if result is None or not is_encrypted:
            return result
        if self._encryption is None:
            raise NotForThisWorker("is encrypted, and this app has no encryption keys")
        return self._encryption.decrypt(result, b"result", name, stored_in, id)


def _result_kind(result: bytes) -> bytes:
    return (JSON + ENCRYPTED if result.startswith(MAGIC) else JSON).encode()


_RESULT_FLAWS = {
    Flaw.MISSING: (
        "unsigned",
        "whoever wrote it had none of this app's keys; accept_unsigned_results=True takes it, for workers in Go",
    ),
    Flaw.UNKNOWN_KEY: ("bad signature", "it was signed with a key that this app does not have"),
    Flaw.WRONG: ("bad signature", "it was changed, or belongs to another task"),
}

NO_KEYS = MessageCrypto()
"""The keys of an app at work without keys: it leaves everything as it is, and says what it cannot read."""
