"""Encryption of payloads and results, without a server."""

from __future__ import annotations

import base64
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.errors import ConfigurationError, DecryptionError, NotForThisWorker, SignatureError
from taskflow.message import encryption
from taskflow.message.encryption import MAGIC, EncryptionKeys
from taskflow.message.message_crypto import CONTENT_TYPE_HEADER, JSON, MessageCrypto
from taskflow.message.signing import SigningKeys
from taskflow.message.task_message import TaskMessage, unique_key
from tests.security.test_signing import VECTORS

KEY = b"another-horse-battery"
OLD = b"an-older-horse-battery"
ENCRYPTED = "application/json; encryption=xaes-256-gcm"


def message(**fields: Any) -> TaskMessage:
    return TaskMessage(
        **{"type": "images:resize", "payload": b'{"src":"a"}', "id": "id-1", "queue": "images", **fields}
    )


@pytest.mark.parametrize(
    ("key", "bound", "expected"),
    [
        (b"\x01" * 32, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (b"\x03" * 32, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ],
)
def test_is_the_standards_own_xaes_256_gcm(key: bytes, bound: bytes, expected: str) -> None:
    """The vectors of c2sp.org/XAES-256-GCM, for both values of the first bit."""
    xaes = encryption._Xaes(key)
    nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
    assert xaes.encrypt(nonce, b"XAES-256-GCM", bound).hex() == expected
    assert xaes.decrypt(nonce, bytes.fromhex(expected), bound) == b"XAES-256-GCM"


@pytest.mark.parametrize("vector", VECTORS["encrypted"], ids=lambda vector: vector["purpose"])
def test_reads_and_writes_what_the_vectors_say(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier release has stored stays readable."""
    keys = EncryptionKeys([vector["key"].encode()])
    bound = [text.encode() for text in vector["bound_to"]]
    stored, plain = bytes.fromhex(vector["stored"]), base64.b64decode(vector["plain"])
    assert keys.decrypt(stored, vector["purpose"].encode(), *bound) == plain
    monkeypatch.setattr(encryption, "urandom", lambda count: bytes(range(count)))
    assert keys.encrypt(plain, vector["purpose"].encode(), *bound) == stored


def test_a_payload_is_opaque_and_says_what_it_is() -> None:
    closed = MessageCrypto(encryption=EncryptionKeys([KEY])).close(message(headers={"trace": "1"}))
    assert closed.headers == {"trace": "1", CONTENT_TYPE_HEADER: ENCRYPTED}
    assert closed.payload is not None
    assert closed.payload.startswith(MAGIC)
    assert b"src" not in closed.encode()


@pytest.mark.parametrize("payload", [None, b"", b"{}", b"x" * 100_000])
def test_every_payload_comes_back(payload: bytes | None) -> None:
    crypto = MessageCrypto(encryption=EncryptionKeys([KEY]))
    closed = crypto.close(message(payload=payload))
    crypto.check(closed, "images", b"id-1", JSON)
    assert (crypto.open(closed, "images", b"id-1") or b"") == (payload or b"")


def test_equal_payloads_look_different() -> None:
    crypto = MessageCrypto(encryption=EncryptionKeys([KEY]))
    assert crypto.close(message()).payload != crypto.close(message()).payload


@pytest.mark.parametrize(
    ("change", "queue", "task_id"),
    [
        ({"type": "images:delete"}, "images", b"id-1"),
        ({}, "other", b"id-1"),
        ({}, "images", b"id-2"),
        ({"headers": {CONTENT_TYPE_HEADER: "text/plain; encryption=xaes-256-gcm"}}, "images", b"id-1"),
    ],
    ids=["name", "queue", "id", "content type"],
)
def test_does_not_decrypt_what_was_moved(change: dict[str, Any], queue: str, task_id: bytes) -> None:
    crypto = MessageCrypto(encryption=EncryptionKeys([KEY]))
    with pytest.raises(DecryptionError, match="was changed, or moved here from elsewhere"):
        crypto.open(replace(crypto.close(message()), **change), queue, task_id)


def test_a_result_is_no_payload_and_the_other_way_round() -> None:
    crypto = MessageCrypto(encryption=EncryptionKeys([KEY]))
    closed = crypto.close(message())
    assert closed.payload is not None
    with pytest.raises(DecryptionError):
        crypto.open_result(closed, "images", b"id-1", closed.payload)
    kept, result = crypto.close_result(closed, "images", b"id-1", b'"small"')
    assert kept == closed
    assert crypto.open_result(closed, "images", b"id-1", result) == b'"small"'
    for name, queue, task_id in (
        ("x", "images", b"id-1"),
        ("images:resize", "x", b"id-1"),
        ("images:resize", "images", b"x"),
    ):
        with pytest.raises(DecryptionError):
            crypto.open_result(replace(closed, type=name), queue, task_id, result)


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_with_our_own_error(data: bytes) -> None:
    keys = EncryptionKeys([KEY])
    for stored in (data, MAGIC + data, MAGIC + encryption.key_id(KEY) + data):
        with pytest.raises((DecryptionError, NotForThisWorker)):
            keys.decrypt(stored, b"payload", b"n")


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    old, both, new = (MessageCrypto(encryption=EncryptionKeys(keys)) for keys in ([OLD], [KEY, OLD], [KEY]))
    for crypto in (old, both, new):
        closed = crypto.close(message())
        both.check(closed, "images", b"id-1", JSON)
        assert both.open(closed, "images", b"id-1") == b'{"src":"a"}'
    for crypto in (old, MessageCrypto()):
        with pytest.raises(NotForThisWorker):
            crypto.check(both.close(message()), "images", b"id-1", JSON)
        with pytest.raises(NotForThisWorker):
            crypto.open(both.close(message()), "images", b"id-1")


def test_what_says_that_it_is_encrypted_and_is_not() -> None:
    forged = message(headers={CONTENT_TYPE_HEADER: ENCRYPTED})
    with pytest.raises(DecryptionError, match="says that it is encrypted, and is not"):
        MessageCrypto(encryption=EncryptionKeys([KEY])).check(forged, "images", b"id-1", JSON)


def test_a_lock_is_the_same_for_equal_arguments_and_tells_nothing() -> None:
    """Its name would otherwise be the MD5 of the arguments, which whoever knows them all can look up."""
    crypto = MessageCrypto(encryption=EncryptionKeys([KEY]))
    open_name = unique_key("images", "images:resize", b'{"src":"a"}')
    locked = message(unique_key=open_name)
    names = {crypto.close(locked).unique_key for _ in range(3)}
    assert len(names) == 1
    (name,) = names
    assert name.startswith("asynq:{images}:unique:images:resize:")
    assert name != open_name
    assert len(name) == len(open_name)
    assert crypto.close(replace(locked, payload=b'{"src":"b"}')).unique_key != name
    assert crypto.close(message()).unique_key == ""


def test_with_both_the_signature_is_over_what_is_stored() -> None:
    crypto = MessageCrypto(SigningKeys([KEY]), EncryptionKeys([KEY]))
    closed = crypto.close(message())
    MessageCrypto(SigningKeys([KEY])).check_signature(closed, "images", b"id-1")
    stripped = replace(closed, headers={k: v for k, v in closed.headers.items() if k != CONTENT_TYPE_HEADER})
    with pytest.raises(SignatureError):
        crypto.check_signature(stripped, "images", b"id-1")


def test_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'taskflow-queue\[crypto\]'"):
        EncryptionKeys([KEY])
