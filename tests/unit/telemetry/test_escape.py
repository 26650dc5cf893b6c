"""Foreign text in the log, on a terminal and in JSON."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.cli.output import clean
from taskflow.errors import ContentTypeError
from taskflow.telemetry.escape import printable, printable_json
from taskflow.telemetry.logs import JSONFormatter, TextFormatter

UNSEEN = {
    "escape": "\x1b",
    "line feed": "\n",
    "DEL": "\x7f",
    "CSI of eight bits": "\x9b",
    "next line": "\x85",
    "no-break space": "\xa0",
    "soft hyphen": "\xad",
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "right-to-left mark": "\u200f",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "right-to-left override": "\u202e",
    "isolate": "\u2066",
    "byte order mark": "\ufeff",
    "Arabic letter mark": "\u061c",
    "Hangul filler": "\u3164",
    "variation selector": "\ufe0f",
    "hidden ASCII": "\U000e0041",
    "hidden byte": "\U000e0101",
    "lone surrogate": "\udcff",
    "private use": "\ue000",
}


@pytest.mark.parametrize("unseen", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_cannot_be_seen_is_shown_as_an_escape_wherever_foreign_text_is_shown(unseen: str) -> None:
    """The JSON log and the names of headers showed U+009B, DEL, U+202E and U+2028 as they are: who may enqueue a task could
    clear the operator's screen, and let a line read as another one."""
    text = f"a{unseen}b"
    assert printable(text).isascii()
    assert printable(text) != "ab"
    assert clean(text).isascii()
    document = json.dumps({"id": text}, ensure_ascii=False)
    assert printable_json(document).isascii()
    assert json.loads(printable_json(document)) == {"id": text}
    record = logging.LogRecord(
        "taskflow", logging.INFO, "f", 1, "Task %s: %s", (text, ContentTypeError(text)), None
    )
    record.id = text
    assert TextFormatter().format(record).isascii()
    line = JSONFormatter().format(record)
    assert line.isascii()
    assert json.loads(line)["id"] == text


def test_what_can_be_seen_stays_as_it_is() -> None:
    for text in ("images:resize", "größe", "заказ", "注文 7", "café", "e\u0301", "🙂"):
        assert printable(text) == text
        assert printable_json(json.dumps([text], ensure_ascii=False)) == f'["{text}"]'


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_a_json_document_keeps_its_value(value: object) -> None:
    for indent in (None, 2):
        for ascii_only in (True, False):
            document = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
            shown = printable_json(document)
            assert json.loads(shown) == value
            assert shown.replace("\n", "").isprintable()
