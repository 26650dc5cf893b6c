"""`MessageCrypto`: what is done to a message on its way out, and asked of it on its way in.

Out: the payload is compressed if the message says so, encrypted, put into the app's store if it is large, and the message is
signed. In: the signature is checked before anything of the payload is looked at, then the same way back. A result goes the same
way, from the worker to whoever reads it. But for the store this is pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from taskflow.errors import ContentTypeError, NotForThisWorker, SignatureError
from taskflow.message import compression
from taskflow.message.content import (
    CLOUDPICKLE,
    COMPRESSED,
    COMPRESSION_HEADER,
    CONTENT_TYPE_HEADER,
    ENCRYPTED,
    IN_STORE,
    JSON,
    MSGPACK,
    Content,
    is_in_store,
)
from taskflow.message.encryption import EncryptionKeys
from taskflow.message.offload import OVERHEAD, Offload, no_store
from taskflow.message.result_crypto import ResultCrypto
from taskflow.message.secret_keys import read_keys
from taskflow.message.signing import SIGNATURE_HEADER, SigningKeys
from taskflow.message.task_message import TaskMessage, lock_key

__all__ = ["CLOUDPICKLE", "CONTENT_TYPE_HEADER", "JSON", "NO_KEYS", "MessageCrypto"]


class MessageCrypto(ResultCrypto):
    """Closes and opens messages with an app's keys.

    Args:
        signing: what signs and verifies; None: signatures are neither made nor asked for.
        encryption: what encrypts and decrypts; None: payloads and results stay readable.
        accept_unsigned_results: take a result that nobody with our keys has written, too.
        offload: what large payloads and results are kept in; None: they stay in the broker.

    Example:
        >>> crypto = MessageCrypto(SigningKeys([b"correct-horse-battery"]))
        >>> closed = crypto.close(TaskMessage(type="noop", payload=b"{}", id="id-1", queue="default"))
        >>> crypto.check(closed, "default", b"id-1", JSON)
        >>> crypto.check(closed, "other", b"id-1", JSON)
        Traceback (most recent call last):
        taskflow.errors.SignatureError: bad signature: the message was changed, or moved here from elsewhere
    """

    __slots__ = ()

    @classmethod
    def of(
        cls,
        signing_keys: Sequence[str | bytes] | None,
        encryption_keys: Sequence[str | bytes] | None,
        *,
        signing_environment: str | None = None,
        encryption_environment: str | None = None,
        accept_unsigned_results: bool = False,
        offload: Offload | None = None,
    ) -> MessageCrypto | None:
        """Make the keys of an app at work from what it was given.

        Args:
            signing_keys: as `TaskFlow` takes them.
            encryption_keys: as `TaskFlow` takes them.
            signing_environment: keys separated by commas, where the code gives none.
            encryption_environment: the same for encryption.
            accept_unsigned_results: as `TaskFlow` takes it.
            offload: what large payloads and results are kept in.

        Returns:
            It, or None when there is no key and no store.

        Raises:
            InvalidOption: a list of keys that cannot be.
            ConfigurationError: encryption without the library for it.
        """
        signing = read_keys("signing_keys", signing_keys, signing_environment)
        encryption = read_keys("encryption_keys", encryption_keys, encryption_environment)
        if not signing and not encryption and offload is None:
            return None
        return cls(
            SigningKeys(signing) if signing else None,
            EncryptionKeys(encryption) if encryption else None,
            accept_unsigned_results=accept_unsigned_results,
            offload=offload,
        )

    def __repr__(self) -> str:
        return f"MessageCrypto({self._signing!r}, {self._encryption!r})"

    @property
    def signs(self) -> bool:
        """Whether messages are signed, and only signed ones accepted."""
        return self._signing is not None

    @property
    def encrypts(self) -> bool:
        """Whether payloads, results and what tasks say of themselves are encrypted."""
        return self._encryption is not None

    @property
    def has_keys(self) -> bool:
        """Whether messages are signed or encrypted."""
        return self._signing is not None or self._encryption is not None

    def without_store(self) -> MessageCrypto | None:
        """The same for what never leaves this process; None: then there is nothing to do."""
        if self.offload is None:
            return self
        if not self.has_keys:
            return None
        unsigned = self._accept_unsigned_results
        return MessageCrypto(self._signing, self._encryption, accept_unsigned_results=unsigned)

    # --- out ------------------------------------------------------------------------------------------------

    def close(self, message: TaskMessage) -> TaskMessage:
        """Compress, encrypt and put away the payload, as far as that is asked for, and sign the message.

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

        Raises:
            StoreError: the store did not take it.
        """
        closed = dict(headers)
        bound = type.encode(), queue.encode(), id.encode()
        before = kind = closed.get(CONTENT_TYPE_HEADER, JSON)
        if self._encryption is not None and lock:
            digest = self._encryption.lock_digest(bound[0], bound[1], payload)
            lock = lock_key(queue, type, digest)
        method = closed.get(COMPRESSION_HEADER)
        if method and (smaller := compression.compressed(payload, method)) is not None:
            payload, kind = smaller, f"{kind}{COMPRESSED}{method}"
        if self._encryption is not None:
            kind += ENCRYPTED
            payload = self._encryption.encrypt(payload, b"payload", *bound, kind.encode())
        if self.offload and (reference := self.offload.put("payload", queue, id, payload)) is not None:
            payload, kind = reference, kind + IN_STORE
        if kind is not before:
            closed[CONTENT_TYPE_HEADER] = kind
        if self._signing is not None:
            closed[SIGNATURE_HEADER] = self._signing.sign(*bound, kind.encode(), payload)
        return payload, lock, closed

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
        """Make sure that the payload is what the task takes, and that it can be read here.

        Args:
            message: the message.
            expected: the content type that the task takes.

        Raises:
            ContentTypeError: it is something else.
            NotForThisWorker: the key is not among ours, it is in a store that this app does not have, or packed in a way that
                this version does not know.
            DecryptionError: it says that it is encrypted, and is not.
        """
        kind = message.headers.get(CONTENT_TYPE_HEADER, JSON)
        if kind == expected:  # nearly always
            return
        content = Content(kind)
        # A task that takes msgpack takes JSON as well: what enqueues in Go has nothing else.
        if content.base != expected and not (content.base == JSON and expected == MSGPACK):
            raise ContentTypeError(f"its payload is no {expected}")
        if content.is_stored and self.offload is None:
            raise no_store()
        if content.encrypted:
            if self._encryption is None:
                raise NotForThisWorker("is encrypted, and this app has no encryption keys")
            if not content.is_stored:
                self._encryption.require(message.payload or b"")

    def check(self, message: TaskMessage, queue: str, id: bytes, expected: str) -> None:
        """Both checks, the signature first."""
        self.check_signature(message, queue, id)
        self.check_content(message, expected)

    def open(self, message: TaskMessage, queue: str, id: bytes, most: int = compression.MOST) -> bytes | None:
        """The plain payload of a message that was checked.

        Args:
            message: the message.
            queue: the queue that it was taken from.
            id: the id under which it was stored.
            most: bytes that it may have.

        Raises:
            DecryptionError: it was changed, or moved.
            CompressionError: it is more than that, or not compressed as it says.
            StoredContentError: the store does not have it, or has something else.
            NotForThisWorker: something is missing here to read it.
        """
        kind = message.headers.get(CONTENT_TYPE_HEADER, JSON)
        if "; " not in kind:
            return message.payload
        content, payload = Content(kind), message.payload or b""
        if content.is_stored:
            payload = self._fetched(payload, queue, id, most + OVERHEAD)
            kind = kind.removesuffix(IN_STORE)
        if content.encrypted:
            if self._encryption is None:
                raise NotForThisWorker("is encrypted, and this app has no encryption keys")
            stored_in = queue.encode("utf-8", "surrogateescape")
            bound = message.type.encode(), stored_in, id, kind.encode()
            payload = self._encryption.decrypt(payload, b"payload", *bound)
        if content.compression:
            payload = compression.decompressed(payload, content.compression, most)
        return payload

    def is_in_store(self, message: TaskMessage) -> bool:
        """Whether the payload has to be fetched, which may take its time."""
        return is_in_store(message)


NO_KEYS = MessageCrypto()
"""The keys of an app at work without keys: it leaves everything as it is, and says what it cannot read."""
