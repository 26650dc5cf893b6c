"""New ids, and the checks of every name that becomes part of a key (pure, but for `urandom`)."""

from __future__ import annotations

from collections.abc import Mapping
from os import register_at_fork, urandom
from time import time_ns
from unicodedata import category

from taskflow.errors import InvalidOption, InvalidQueueName, InvalidTaskId

MAX_NAME_LENGTH = 255
"""Characters in the name of a queue, a task or a group, in a task's id or in the name of a header."""

MAX_HEADERS = 64
"""Headers of one task."""

MAX_HEADERS_BYTES = 16 * 1024
"""Names and values of all headers of one task together, as UTF-8."""

# control characters, surrogates, the separators of lines and of paragraphs
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_VARIANT = "89ab"

_STORED = 64
_store: list[int] = []
"""Random numbers of 128 bits, each for one id."""

register_at_fork(after_in_child=_store.clear)


def new_id() -> str:
    """Make a new task id: a random UUID (version 4), as Asynq's clients make them.

    Returns:
        36 lower-case characters.

    Example:
        >>> len(new_id())
        36
    """
    # uuid.uuid4() makes an object on the way and takes twice the time. `urandom` lets go of the interpreter, which among a
    # hundred threads costs more than all the rest of a call, so it is asked for many ids at once. The time goes into each id,
    # too: another process may have the same store (a fork, a machine that was started twice from one snapshot), but not at the
    # same time.
    try:
        number = _store.pop()
    except IndexError:
        number = _draw()
    h = f"{number ^ time_ns():032x}"
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{_VARIANT[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"


def _draw() -> int:
    data = urandom(16 * _STORED)
    numbers = [int.from_bytes(data[start : start + 16]) for start in range(0, len(data), 16)]
    _store.extend(numbers[1:])
    return numbers[0]


def check_queue_name(name: str) -> str:
    """Check the name of a queue: it is the hash tag in every key of the queue, and a word on command lines.

    Args:
        name: 1 to 255 characters, not only spaces, without braces and control characters.

    Returns:
        The same name.

    Raises:
        InvalidQueueName: with what is wrong and how to mend it.

    Example:
        >>> check_queue_name("images")
        'images'
    """
    if problem := _name_problem(name):
        raise InvalidQueueName(f"queue name {_quote(name)} {problem}")
    return name


def check_task_id(id: str) -> str:
    """Check a task id that a user chose: it is the end of the key of the task's hash.

    Args:
        id: 1 to 255 characters, not only spaces, without braces and control characters.

    Returns:
        The same id.

    Raises:
        InvalidTaskId: with what is wrong and how to mend it.
    """
    if problem := _name_problem(id):
        raise InvalidTaskId(f"task id {_quote(id)} {problem}")
    return id


def check_task_name(name: str) -> str:
    """Check the name of a task, which Asynq calls its type.

    Args:
        name: 1 to 255 characters, not only spaces, without braces and control characters.

    Returns:
        The same name.

    Raises:
        InvalidOption: with what is wrong and how to mend it.
    """
    if problem := _name_problem(name):
        raise InvalidOption(f"task name {_quote(name)} {problem}")
    return name


def check_group_name(name: str) -> str:
    """Check the name of an aggregation group: it is the end of the key of the group's set.

    Args:
        name: 1 to 255 characters, not only spaces, without braces and control characters.

    Returns:
        The same name.

    Raises:
        InvalidOption: with what is wrong and how to mend it.
    """
    if problem := _name_problem(name):
        raise InvalidOption(f"group name {_quote(name)} {problem}")
    return name


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Check the headers of a task.

    Args:
        headers: at most 64 texts by name, 16 KiB together; a name has 1 to 255 characters without braces and
            control characters, a value is any text.

    Returns:
        A copy.

    Raises:
        InvalidOption: naming the header, never its value.
    """
    if not isinstance(headers, Mapping):
        raise InvalidOption(f"headers must be a mapping of str to str, not {_type_name(headers)}")
    if len(headers) > MAX_HEADERS:
        raise InvalidOption(f"{len(headers)} headers are over the limit of {MAX_HEADERS}; use the arguments")
    size = 0
    for name, value in headers.items():
        if problem := _name_problem(name):
            raise InvalidOption(f"header name {_quote(name)} {problem}")
        if not isinstance(value, str):
            raise InvalidOption(f"header {_quote(name)} must be a str, not {_type_name(value)}; use str(...)")
        try:
            size += len(name.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise InvalidOption(f"header {_quote(name)} holds a lone surrogate, not valid Unicode") from None
    if size > MAX_HEADERS_BYTES:
        raise InvalidOption(f"headers of {size:,} bytes are over the limit of {MAX_HEADERS_BYTES:,}")
    return dict(headers)


def printable(id: str) -> str:
    """The id of a stored task as valid text: records and log lines hold no other. What of it is no text is shown as escapes.

    Example:
        >>> printable("a\\udcff")
        'a\\\\xff'
    """
    return id.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _name_problem(name: object) -> str | None:
    """Say what is wrong with a name, as the end of a sentence; None when it is good."""
    if not isinstance(name, str):
        return f"must be a str, not {_type_name(name)}"
    if not name.strip():
        return "is blank; give it at least one visible character"
    if len(name) > MAX_NAME_LENGTH:
        return f"has {len(name)} characters, over the limit of {MAX_NAME_LENGTH}; shorten it"
    if "{" in name or "}" in name:
        return "holds a brace; braces mark the cluster's hash tag in keys, so use another character"
    if name.isprintable():  # nearly every name
        return None
    for character in name:
        if category(character) in _REFUSED_CATEGORIES:
            return f"holds the control character U+{ord(character):04X}; leave it out"
    return None


def _quote(name: object) -> str:
    """Show a name in an error: escaped, and cut when it is long; nothing of what is no text at all."""
    if not isinstance(name, str):
        return f"of type {_type_name(name)}"
    shown = ascii(name[:60])
    return shown if len(name) <= 60 and len(shown) <= 80 else shown[:57] + "...'"


def _type_name(value: object) -> str:
    return type(value).__name__
