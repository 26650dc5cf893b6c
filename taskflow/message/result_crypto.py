"""What is done to a result, and to what a task says of itself, on the way from the worker to whoever reads it.

But for the app's store this is pure.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace

from taskflow.errors import DecryptionError, NotForThisWorker, SignatureError
from taskflow.message import compression
from taskflow.message.content import COMPRESSION_HEADER, ENCRYPTED, JSON
from taskflow.message.encryption import MAGIC, EncryptionKeys
from taskflow.message.offload import OVERHEAD, STORED, Offload, no_store
from taskflow.message.signing import RESULT_SIGNATURE_HEADER, Flaw, Purpose, SigningKeys
from taskflow.message.task_message import TaskMessage

_SEALED_TEXT = "tfe1~"
"""What an encrypted text begins with; no JSON does."""


class ResultCrypto:
    """The part of `MessageCrypto`, with its arguments, that is for results and reports."""

    __slots__ = ("_accept_unsigned_results", "_encryption", "_signing", "offload")

    def __init__(
        self,
        signing: SigningKeys | None = None,
        encryption: EncryptionKeys | None = None,
        *,
        accept_unsigned_results: bool = False,
        offload: Offload | None = None,
    ) -> None:
        self.offload = offload
        self._signing = signing
        self._encryption = encryption
        self._accept_unsigned_results = accept_unsigned_results

    def close_result(
        self, message: TaskMessage, queue: str, id: bytes, result: bytes
    ) -> tuple[TaskMessage, bytes]:
        """Do to a result what is done to a payload.

        Args:
            message: the task's message.
            queue: the queue that it was taken from.
            id: the id under which it was stored.
            result: the plain result.

        Returns:
            The message to keep, which has the signature, and the result to store.

        Raises:
            StoreError: the store did not take it.
        """
        name, stored_in = message.type.encode(), queue.encode("utf-8", "surrogateescape")
        if method := message.headers.get(COMPRESSION_HEADER):
            result = compression.pack(result, method)
        if self._encryption is not None:
            result = self._encryption.encrypt(result, b"result", name, stored_in, id)
        if self.offload:
            text = id.decode("utf-8", "surrogateescape")
            reference = self.offload.put("result", queue, text, result)
            result = result if reference is None else STORED + reference
        if self._signing is not None:
            kind = _result_kind(result)
            signature = self._signing.sign(name, stored_in, id, kind, result, Purpose.RESULT)
            message = replace(message, headers={**message.headers, RESULT_SIGNATURE_HEADER: signature})
        return message, result

    def close_text(self, queue: str, id: bytes, text: str) -> str:
        """Encrypt what a task says of itself, where there are keys for it; as text, since it travels and is stored as text.

        Args:
            queue: the queue that the task was taken from.
            id: the id under which it is stored.
            text: a note, or lines.
        """
        if self._encryption is None:
            return text
        stored_in = queue.encode("utf-8", "surrogateescape")
        sealed = self._encryption.encrypt(text.encode(), b"report", stored_in, id)
        return _SEALED_TEXT + b64encode(sealed).decode()

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
            NotForThisWorker: it is encrypted, and the key is not among ours; or it is in a store that this app does not have.
            DecryptionError: it was changed, or moved.
            CompressionError: it cannot be decompressed.
            StoredContentError: the store does not have it, or has something else.
        """
        name = message.type.encode() if message else b""
        stored_in = queue.encode("utf-8", "surrogateescape")
        if self._signing is not None:
            header = message.headers.get(RESULT_SIGNATURE_HEADER) if message else None
            kind = _result_kind(result or b"")
            flaw = self._signing.flaw(header, name, stored_in, id, kind, result or b"", Purpose.RESULT)
            if flaw is not None and not (flaw is Flaw.MISSING and self._accept_unsigned_results):
                raise SignatureError(*_RESULT_FLAWS[flaw])
        if result is not None and result.startswith(STORED):
            result = self._fetched(result[len(STORED) :], queue, id, compression.MOST + OVERHEAD)
        is_encrypted = result is not None and result.startswith(MAGIC)
        by_key = is_encrypted or self._signing is not None or self._accept_unsigned_results
        if self._encryption is not None and not by_key:
            raise SignatureError(*_RESULT_FLAWS[Flaw.MISSING])
        if result is not None and is_encrypted:
            if self._encryption is None:
                raise NotForThisWorker("is encrypted, and this app has no encryption keys")
            result = self._encryption.decrypt(result, b"result", name, stored_in, id)
        return result and compression.unpack(result)

    def open_text(self, queue: str, id: bytes, text: str) -> str:
        """What `close_text` has closed; a text that is not encrypted is given as it is.

        Raises:
            NotForThisWorker: it is encrypted, and the key is not among ours.
            DecryptionError: it was changed, or moved.
        """
        if not text.startswith(_SEALED_TEXT):
            return text
        if self._encryption is None:
            raise NotForThisWorker("is encrypted, and this app has no encryption keys")
        try:
            sealed = b64decode(text.removeprefix(_SEALED_TEXT), validate=True)
        except ValueError:
            raise DecryptionError("says that it is encrypted, and is not") from None
        stored_in = queue.encode("utf-8", "surrogateescape")
        return self._encryption.decrypt(sealed, b"report", stored_in, id).decode("utf-8", "replace")

    def _fetched(self, reference: bytes, queue: str, id: bytes, most: int) -> bytes:
        if self.offload is None:
            raise no_store()
        return self.offload.get(reference, queue, id.decode("utf-8", "surrogateescape"), most)


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
