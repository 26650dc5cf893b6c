"""Signatures: what is signed, byte for byte; keys and their rotation; nothing that was changed passes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow import TaskFlow
from taskflow.errors import ContentTypeError, InvalidOption, SignatureError
from taskflow.message.message_crypto import CLOUDPICKLE, CONTENT_TYPE_HEADER, JSON, MessageCrypto
from taskflow.message.secret_keys import fields, key_id
from taskflow.message.signing import SIGNATURE_HEADER, Flaw, Purpose, SigningKeys, signed_bytes
from taskflow.message.task_message import TaskMessage

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
KEY = b"correct-horse-battery"
OLD = b"an-older-horse-battery"
MESSAGE = TaskMessage(type="images:resize", payload=b'{"src":"a"}', id="id-1", queue="images")


def five(vector: dict[str, str]) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    texts = (vector[name].encode() for name in ("name", "queue", "id", "content_type"))
    return (*texts, base64.b64decode(vector["payload"]))  # type: ignore[return-value]


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda vector: vector["note"])
def test_signs_what_the_vectors_say(vector: dict[str, str]) -> None:
    """The vectors are what programs in other languages are checked against: they never change."""
    keys = SigningKeys([vector["key"].encode()])
    assert signed_bytes(*five(vector)).hex() == vector["signed"]
    assert keys.sign(*five(vector)) == vector["header"]
    keys.check(vector["header"], *five(vector))


def test_is_what_the_page_says_in_plain_python() -> None:
    """docs/security.md in six lines, without taskflow."""
    vector = VECTORS["signatures"][0]
    key, parts = vector["key"].encode(), [b"taskflow-sig/1", *five(vector)]
    signed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    mac = base64.urlsafe_b64encode(hmac.new(key, signed, hashlib.sha256).digest()).rstrip(b"=").decode()
    name = hmac.new(key, b"taskflow-key-id/1", hashlib.sha256).hexdigest()[:8]
    assert f"v1:{name}:{mac}" == vector["header"]


def test_the_signature_of_a_result_is_what_the_page_says_in_plain_python() -> None:
    """The same, with another text in front; one for a payload is none for a result."""
    (vector,) = VECTORS["results"]
    key, parts = vector["key"].encode(), [b"taskflow-result-sig/1", *five(vector)]
    signed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert signed.hex() == vector["signed"]
    mac = base64.urlsafe_b64encode(hmac.new(key, signed, hashlib.sha256).digest()).rstrip(b"=").decode()
    name = hmac.new(key, b"taskflow-key-id/1", hashlib.sha256).hexdigest()[:8]
    assert f"v1:{name}:{mac}" == vector["header"]
    keys = SigningKeys([key])
    assert keys.sign(*five(vector), Purpose.RESULT) == vector["header"]
    assert keys.flaw(vector["header"], *five(vector), Purpose.RESULT) is None
    assert keys.flaw(vector["header"], *five(vector)) is Flaw.WRONG


def test_no_two_messages_have_the_same_signed_bytes_by_joining() -> None:
    one, other = VECTORS["signatures"][-2:]
    assert one["name"] + one["queue"] == other["name"] + other["queue"]
    assert one["header"] != other["header"]


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_joins_fields_so_that_they_come_apart_in_one_way(one: list[bytes], other: list[bytes]) -> None:
    assert (fields(*one) == fields(*other)) == (one == other)


@pytest.mark.parametrize(
    ("change", "queue", "task_id"),
    [
        ({"type": "images:delete"}, "images", b"id-1"),
        ({"payload": b'{"src":"b"}'}, "images", b"id-1"),
        ({"payload": None}, "images", b"id-1"),
        ({}, "other", b"id-1"),
        ({}, "images", b"id-2"),
        ({"headers": {CONTENT_TYPE_HEADER: CLOUDPICKLE}}, "images", b"id-1"),
    ],
    ids=["name", "payload", "no payload", "queue", "id", "content type"],
)
def test_nothing_that_was_changed_or_moved_passes(change: dict[str, Any], queue: str, task_id: bytes) -> None:
    """Queue and id are those under which the task was found, whatever its message says of them."""
    crypto = MessageCrypto(SigningKeys([KEY]))
    closed = crypto.close(MESSAGE)
    crypto.check(closed, "images", b"id-1", JSON)
    headers = {**closed.headers, **change.pop("headers", {})}
    changed = replace(closed, headers=headers, **change)
    with pytest.raises(SignatureError, match="bad signature: the message was changed, or moved") as raised:
        crypto.check_signature(changed, queue, task_id)
    assert raised.value.reason == "bad signature"


def test_what_a_retry_changes_is_not_signed() -> None:
    crypto = MessageCrypto(SigningKeys([KEY]))
    closed = crypto.close(MESSAGE)
    retried = replace(closed, retried=3, error_msg="boom", last_failed_at=5, timeout=9, group_key="g")
    crypto.check(TaskMessage.decode(retried.encode()), "images", b"id-1", JSON)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ":",
        "v1",
        "v1:",
        "v1::",
        "v1:7d78ca6b",
        "v1:7d78ca6b:",
        "v2:7d78ca6b:p9ArUfI_DyaoD69MH0LZmyCf7X1Q7-YPihbtk0VKO3g",
        "v1:7D78CA6B:p9ArUfI_DyaoD69MH0LZmyCf7X1Q7-YPihbtk0VKO3g",
        "v1:7d78ca6b:p9ArUfI_DyaoD69MH0LZmyCf7X1Q7-YPihbtk0VKO3g=",
        "v1:7d78ca6b:p9ArUfI_DyaoD69MH0LZmyCf7X1Q7-YPihbtk0VKO3h",
        " v1:7d78ca6b:p9ArUfI_DyaoD69MH0LZmyCf7X1Q7-YPihbtk0VKO3g",
        "v1:7d78ca6b:p9ArUfI_DyaoD69MH0LZmyCf7X1Q7-YPihbtk0VKO3g\n",
        "v1:7d78ca6b:\u00e9\ud800",
    ],
)
def test_a_header_passes_only_as_it_was_written(header: str) -> None:
    """Also one whose last character decodes to the same bytes, or that has been padded."""
    what = (b"noop", b"default", b"id-1", b"application/json", b"{}")
    keys = SigningKeys([KEY])
    keys.check("v1:7d78ca6b:p9ArUfI_DyaoD69MH0LZmyCf7X1Q7-YPihbtk0VKO3g", *what)
    with pytest.raises(SignatureError):
        keys.check(header, *what)


@given(st.text())
def test_any_text_is_a_bad_signature(header: str) -> None:
    with pytest.raises(SignatureError, match="bad signature"):
        SigningKeys([KEY]).check(header, b"n", b"q", b"i", b"c", b"p")


def test_the_first_key_signs_and_every_key_verifies() -> None:
    old, both, new = (
        MessageCrypto(SigningKeys([OLD])),
        MessageCrypto(SigningKeys([KEY, OLD])),
        MessageCrypto(SigningKeys([KEY])),
    )
    for crypto in (old, both, new):
        both.check(crypto.close(MESSAGE), "images", b"id-1", JSON)
    new.check(both.close(MESSAGE), "images", b"id-1", JSON)
    with pytest.raises(SignatureError, match="with a key that this app does not have"):
        old.check(both.close(MESSAGE), "images", b"id-1", JSON)
    with pytest.raises(SignatureError, match="unsigned: this app runs signed messages only"):
        both.check(MESSAGE, "images", b"id-1", JSON)


def test_a_payload_of_another_kind_is_refused_although_it_is_signed() -> None:
    crypto = MessageCrypto(SigningKeys([KEY]))
    with pytest.raises(ContentTypeError, match="no application/x-cloudpickle"):
        crypto.check(crypto.close(MESSAGE), "images", b"id-1", CLOUDPICKLE)


def test_without_keys_a_message_stays_as_it_is() -> None:
    assert MessageCrypto.of(None, None) is None
    assert SIGNATURE_HEADER not in MessageCrypto().close(MESSAGE).headers
    MessageCrypto().check(MESSAGE, "images", b"id-1", JSON)


# --- what an app is given -----------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["signing_keys", "encryption_keys"])
@pytest.mark.parametrize(
    ("given_keys", "says"),
    [
        ("one-key-that-is-no-list", "takes a list of keys"),
        (b"one-key-that-is-no-list", "takes a list of keys"),
        (5, "takes a list of keys"),
        ([], "is empty; leave it out"),
        (["canary-short"], "number 1 has 12 bytes; a key has 16 at least"),
        (["canary-long-enough", "canary-long-enough"], "the same key is given twice"),
        ([17], "a str or bytes, not int"),
        (["canary-\ud800-0123456789"], "not valid Unicode"),
    ],
)
def test_refuses_keys_that_cannot_be(option: str, given_keys: Any, says: str) -> None:
    with pytest.raises(InvalidOption, match=says) as raised:
        TaskFlow(**{option: given_keys})
    assert "canary" not in str(raised.value)


def test_keys_come_from_the_environment_where_the_code_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFLOW_SIGNING_KEYS", "correct-horse-battery, an-older-horse-battery,")
    crypto = TaskFlow()._crypto
    assert crypto is not None
    crypto.check(MessageCrypto(SigningKeys([OLD])).close(MESSAGE), "images", b"id-1", JSON)
    own = TaskFlow(signing_keys=["given-in-the-code-itself"])._crypto
    assert own is not None
    with pytest.raises(SignatureError):
        own.check(crypto.close(MESSAGE), "images", b"id-1", JSON)
    monkeypatch.delenv("TASKFLOW_SIGNING_KEYS")
    assert TaskFlow()._crypto is None


@pytest.mark.parametrize("variable", ["TASKFLOW_SIGNING_KEYS", "TASKFLOW_ENCRYPTION_KEYS"])
@pytest.mark.parametrize("value", ["", " ", " , ", ",,"])
def test_a_variable_for_keys_that_holds_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """`TASKFLOW_SIGNING_KEYS="$NEW,$OLD"` with neither set meant no signing at all, without a word."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidOption, match=f"{variable} is set and holds no key; unset it for none"):
        TaskFlow()


def test_keys_show_nowhere_and_do_not_travel() -> None:
    app = TaskFlow(
        "shop", broker="redis://h", signing_keys=["canary-0123456789"], encryption_keys=["canary-abcdefghijk"]
    )
    assert "canary" not in repr(app) + repr(app._crypto) + repr(app.submit)
    assert key_id(b"canary-0123456789").hex() in repr(app._crypto)
    for one in (app, app._crypto):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(one)
