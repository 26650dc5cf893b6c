"""The secrets that an app is given: lists of keys, for signing and for encryption (pure).

The first key of a list is used for what is written, every one of them for what is read: so a key is replaced
without a moment in which anything is refused (docs/security.md).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence

from taskflow.errors import InvalidOption

MIN_KEY_BYTES = 16
"""A shorter key could be found by trying."""

_HOW = 'python -c "import secrets; print(secrets.token_urlsafe(32))" makes one'


def read_keys(option: str, given: Sequence[str | bytes] | None, from_environment: str | None) -> list[bytes]:
    """Check the keys that an app was given, in its code or in the environment.

    Args:
        option: what they are called, for errors.
        given: the list in the code; None: not given.
        from_environment: keys separated by commas, where the code gives none; None: the variable is not set.

    Returns:
        The keys; none at all when there are none.

    Raises:
        InvalidOption: no list of keys, an empty one, a variable that is set and holds none, a key that is too short, or the
            same key twice. The text holds no key.

    Example:
        >>> read_keys("signing_keys", None, "correct-horse-battery, staple-0123456789")
        [b'correct-horse-battery', b'staple-0123456789']
    """
    if given is None:
        if from_environment is None:
            return []
        words = [word.strip() for word in from_environment.split(",")]
        found = [word.encode() for word in words if word]
        if not found:
            # The variable is set, so keys are wanted. To go on without any would leave everything unsigned and readable.
            variable = f"TASKFLOW_{option.upper()}"
            raise InvalidOption(
                f"{variable} is set and holds no key; unset it for none, or give it a key ({_HOW})"
            )
        return _checked(option, found)
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InvalidOption(f"{option} takes a list of keys, the one that is used first: [key]")
    keys = [_bytes(option, key) for key in given]
    if not keys:
        raise InvalidOption(f"{option} is empty; leave it out for none, or give it a key ({_HOW})")
    return _checked(option, keys)


def key_id(key: bytes) -> bytes:
    """Name a key without giving it away: the first four bytes of an HMAC-SHA256 under the key itself.

    Args:
        key: the key.

    Returns:
        Four bytes.

    Example:
        >>> key_id(b"correct-horse-battery").hex()
        '7d78ca6b'
    """
    return hmac.digest(key, b"taskflow-key-id/1", "sha256")[:4]


def fields(*values: bytes) -> bytes:
    """Join texts so that no two lists of texts give the same bytes: each after its length (4 bytes, big-endian).

    Args:
        values: the texts.

    Returns:
        The bytes that are signed, or bound to what is encrypted.

    Example:
        >>> fields(b"ab", b"")
        b'\\x00\\x00\\x00\\x02ab\\x00\\x00\\x00\\x00'
    """
    return b"".join([part for value in values for part in (len(value).to_bytes(4, "big"), value)])


def _bytes(option: str, key: object) -> bytes:
    if isinstance(key, str):
        try:
            return key.encode()
        except UnicodeEncodeError:
            raise InvalidOption(f"{option}: a key is not valid Unicode text; give it as bytes") from None
    if isinstance(key, bytes):
        return key
    raise InvalidOption(f"{option}: a key is a str or bytes, not {type(key).__name__}")


def _checked(option: str, keys: list[bytes]) -> list[bytes]:
    for position, key in enumerate(keys, start=1):
        if len(key) < MIN_KEY_BYTES:
            raise InvalidOption(
                f"{option}: key number {position} has {len(key)} bytes; a key has {MIN_KEY_BYTES} at least ({_HOW})"
            )
    if len({key_id(key) for key in keys}) < len(keys):
        raise InvalidOption(f"{option}: the same key is given twice")
    return keys
