"""docs/events.md says of each public event what it is: its fields, and in which process it is told."""

from __future__ import annotations

import re

import msgspec

from taskflow import events
from taskflow.tasks.app_events import SIGNALS
from tests.workers import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text()


SIGNAL_ROWS = [
    line.split("|")[1] for line in PAGE.partition("## In place of")[2].splitlines() if line.startswith("| `")
]


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of the table under a heading, by the name in the first."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    return {cell[0].strip("`"): cell[1:] for cell in cells}


def fields(kind: type[events.Event]) -> set[str]:
    common = {field.name for field in msgspec.structs.fields(events.TaskEvent)}
    return {field.name for field in msgspec.structs.fields(kind)} - (
        common if issubclass(kind, events.TaskEvent) else set()
    )


def test_every_signal_of_celerys_is_on_the_page() -> None:
    """Whoever writes one as a text is told what is in its place, and so is whoever looks it up."""
    assert set(re.findall(r"`(\w+)`", "".join(SIGNAL_ROWS))) == SIGNALS.keys()


def test_every_public_event_is_on_the_page_with_its_fields_and_its_process() -> None:
    """The names are a promise, and who reads the page writes a listener for them."""
    found = rows("The events")
    kinds = {name: getattr(events, name) for name in events.__all__ if name not in ("Event", "TaskEvent")}
    assert found.keys() == kinds.keys()
    archived = fields(events.Archived)
    for name, (_, named, process) in found.items():
        assert set(re.findall(r"client|child|worker", process)) == kinds[name].told_in, name
        own = fields(kinds[name])
        if issubclass(kinds[name], events.Archived) and name != "Archived":
            own -= archived
        assert set(re.findall(r"`(\w+)`", named.replace("as `Archived`", ""))) == own, name
