"""What a task holds, as text for people (pure). All of it is foreign: `printable` makes it fit to be shown."""

from __future__ import annotations

from .contents import shown_payload, shown_result
from .values import TaskInfo


def arguments_text(task: TaskInfo) -> str:
    """The arguments of a task as they are stored, made readable where that takes neither keys nor a store.

    Of bytes that are no text, such as encrypted ones, it says how many there are. Show them only to who may see them.

    Args:
        task: of a page, or one by its id.
    """
    return _text(shown_payload(task.message))


def result_text(task: TaskInfo) -> str:
    """The result of a task, likewise; empty when none is kept.

    Args:
        task: as for `arguments_text`.
    """
    return _text(shown_result(task.result))


def headers_text(task: TaskInfo) -> str:
    """The headers of a task, sorted by name.

    Args:
        task: as for `arguments_text`.
    """
    headers = task.message.headers if task.message else {}
    return ", ".join(f"{name}={value}" for name, value in sorted(headers.items()))


def error_text(task: TaskInfo) -> str:
    """The type and the text of a task's last failure; empty when it has had none.

    Args:
        task: as for `arguments_text`.
    """
    kind, text = task.error_type, task.last_error
    return f"{kind}: {text}" if kind and kind != text else text


def _text(data: bytes | None) -> str:
    if not data:
        return ""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"({len(data):,} bytes that are no text)"
