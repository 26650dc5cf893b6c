"""Encryption of payloads and results: XAES-256-GCM, by the library `cryptography` (the extra `crypto`).

AES-256-GCM with a nonce of 192 bits (c2sp.org/XAES-256-GCM): with the 96 bits that AES-GCM itself has, random
nonces must not be used more than 2^32 times with one key, which a busy queue does in days.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from os import urandom
from typing import Any, Literal

from taskflow.errors import ConfigurationError, DecryptionError, NotForThisWorker
from taskflow.message.secret_keys import fields, key_id

MAGIC = b"\0tfe1"
"""The first bytes of everything that is encrypted; no JSON and no text begins with them."""

Purpose = Literal[b"payload", b"result", b"report"]

_NONCE = 24
_KEY_ID = 4
_START = len(MAGIC) + _KEY_ID
_BLOCK = 16


class EncryptionKeys:
    """The keys of an app: the first encrypts, every one of them decrypts.

    What is encrypted is bound to its purpose, and to the task's name, queue, id and content type: moved
    elsewhere, it does not decrypt.

    Args:
        keys: at least one, as `secret_keys.read_keys` gives them.

    Raises:
        ConfigurationError: `cryptography` is not installed.
    """

    __slots__ = ("_encrypts_with", "_keys", "_lock_key")

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key): _Xaes(_derive(key, b"encrypt")) for key in keys}
        self._encrypts_with = key_id(keys[0])
        self._lock_key = _derive(keys[0], b"lock")

    def __repr__(self) -> str:
        return f"EncryptionKeys({', '.join(key.hex() for key in self._keys)})"

    def __reduce__(self) -> str:
        raise TypeError("encryption keys are never pickled")

    def encrypt(self, data: bytes, purpose: Purpose, *bound_to: bytes) -> bytes:
        """Encrypt with the first key.

        Args:
            data: the plain bytes.
            purpose: what they are.
            bound_to: what must be the same when they are decrypted.

        Returns:
            Mark, key id, nonce, ciphertext and tag.
        """
        nonce = urandom(_NONCE)
        sealed = self._keys[self._encrypts_with].encrypt(nonce, data, _bound(purpose, bound_to))
        return b"".join((MAGIC, self._encrypts_with, nonce, sealed))

    def require(self, data: bytes) -> None:
        """Make sure that the key is there which this was encrypted with.

        Raises:
            NotForThisWorker: it is not.
            DecryptionError: the bytes were not encrypted by us at all.
        """
        if not data.startswith(MAGIC):
            raise DecryptionError("says that it is encrypted, and is not")
        if data[len(MAGIC) : _START] not in self._keys:
            raise NotForThisWorker("is encrypted with a key that this app does not have")

    def decrypt(self, data: bytes, purpose: Purpose, *bound_to: bytes) -> bytes:
        """Decrypt what `encrypt` made.

        Raises:
            NotForThisWorker: the key is not among ours.
            DecryptionError: it was changed, or moved.
        """
        self.require(data)
        nonce, sealed = data[_START : _START + _NONCE], data[_START + _NONCE :]
        key = self._keys[data[len(MAGIC) : _START]]
        return key.decrypt(nonce, sealed, _bound(purpose, bound_to))

    def lock_digest(self, *values: bytes) -> str:
        """A keyed hash of what makes a task unique: equal tasks have equal locks, and the lock tells nothing.

        Returns:
            32 hexadecimal digits, as many as the MD5 that stands there otherwise.
        """
        return hmac.digest(self._lock_key, fields(*values), "sha256")[:16].hex()


class _Xaes:
    """XAES-256-GCM with one key."""

    __slots__ = ("_cipher", "_gcm", "_mask", "_refused")

    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ModuleNotFoundError:
            raise ConfigurationError(
                "encryption_keys need the library `cryptography`: pip install 'taskflow-queue[crypto]'"
            ) from None
        self._gcm = AESGCM
        self._refused = InvalidTag
        self._cipher: Any = Cipher(algorithms.AES(key), modes.ECB())
        first = int.from_bytes(self._cipher.encryptor().update(bytes(_BLOCK)), "big")
        self._mask = (first << 1 & (1 << 128) - 1) ^ (0x87 if first >> 127 else 0)

    def encrypt(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        return self._gcm(self._derived(nonce)).encrypt(nonce[12:], data, bound)

    def decrypt(self, nonce: bytes, sealed: bytes, bound: bytes) -> bytes:
        try:
            return self._gcm(self._derived(nonce)).decrypt(nonce[12:], sealed, bound)
        except (self._refused, ValueError):  # ValueError: cut off within the nonce
            raise DecryptionError("was changed, or moved here from elsewhere") from None

    def _derived(self, nonce: bytes) -> bytes:
        """The key for this nonce. (A context of `cryptography` is not for several threads: a new one each time.)"""
        blocks = (int.from_bytes(b"\0" + number + b"X\0" + nonce[:12], "big") for number in (b"\1", b"\2"))
        masked = b"".join([(block ^ self._mask).to_bytes(_BLOCK, "big") for block in blocks])
        key: bytes = self._cipher.encryptor().update(masked)
        return key


def _derive(key: bytes, use: bytes) -> bytes:
    """One secret, several uses: a key of 32 bytes for each."""
    return hmac.digest(key, b"taskflow-enc/1 " + use, "sha256")


def _bound(purpose: bytes, values: Sequence[bytes]) -> bytes:
    return fields(b"taskflow-enc/1", purpose, *values)
