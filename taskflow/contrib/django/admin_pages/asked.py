"""Which tasks somebody has asked for, by the query of the URL: what `taskflow task ls` takes, in a form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from taskflow import State
from taskflow.errors import InvalidOption
from taskflow.inspector import TaskFilter, parse_age

from .listing import EVERY, STATES

WORDS = ("name", "error", "text")
AGES = ("older", "newer")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for.

    Args:
        task_id: the only task that is meant; empty: any.
        queue: the only queue; empty: all.
        state: the only state; None: all.
        where: which tasks of these.
        start: how many are skipped.
        given: what the form was filled in with, as it was.
        problem: why it cannot be asked; or empty.
    """

    task_id: str
    queue: str
    state: State | None
    where: TaskFilter
    start: int
    given: Mapping[str, str]
    problem: str = ""

    @property
    def states(self) -> list[State]:
        """The states that are looked through: with an age, those whose tasks' ages are known."""
        return [state for state in STATES if self.state in (None, state) and _fits(self.where, state)]

    @property
    def is_narrow(self) -> bool:
        """Whether it asks for more than a queue and a state."""
        return self.where != EVERY

    def query(self, **changes: str) -> str:
        """The query of a URL for the same with changes; what is empty is left out. It begins with `?`.

        Args:
            **changes: values by name.
        """
        values = {
            "q": self.task_id,
            "queue": self.queue,
            "state": self.state.value if self.state else "",
            **self.given,
        }
        values |= changes
        return "?" + urlencode({name: value for name, value in values.items() if value})

    def hidden(self, *names: str) -> list[tuple[str, str]]:
        """The values of others than these, for a form that asks for these."""
        values = {"queue": self.queue, "state": self.state.value if self.state else "", **self.given}
        return [(name, value) for name, value in values.items() if value and name not in names]

    def words(self) -> str:
        """What is asked, for the log: "state archived, error 'PaymentError'"."""
        asked: dict[str, str] = {
            "queue": self.queue,
            "state": self.state.value if self.state else "",
            **self.given,
        }
        return ", ".join(f"{name} {value!r}" for name, value in asked.items() if value)


def read(query: Mapping[str, Any]) -> Asked:
    """Read the query of a URL.

    Args:
        query: `request.GET`.
    """
    given = {name: str(query.get(name, "")).strip() for name in (*WORDS, *AGES)}
    problems: list[str] = []
    state = _state(str(query.get("state", "")), problems)
    where = _filter(given, problems)
    if state is not None and not _fits(where, state):
        problems.append(f"of tasks in state {state.value} nothing says how old they are")
    return Asked(
        task_id=str(query.get("q", "")).strip(),
        queue=str(query.get("queue", "")),
        state=state,
        where=where,
        start=_number(str(query.get("start", ""))),
        given=given,
        problem="; ".join(problems),
    )


def _state(text: str, problems: list[str]) -> State | None:
    if not text:
        return None
    found = next((state for state in State if state.value == text), None)
    if found is None:
        problems.append(f"there is no state {text!r}")
    return found


def _filter(given: Mapping[str, str], problems: list[str]) -> TaskFilter:
    ages: dict[str, float | None] = {}
    for name in AGES:
        ages[name] = None
        if given[name]:
            try:
                ages[name] = parse_age(given[name])
            except InvalidOption as error:
                problems.append(f"{name} than {given[name]!r}: {error}")
    try:
        return TaskFilter(
            **{name: given[name] for name in WORDS}, older_than=ages["older"], newer_than=ages["newer"]
        )
    except InvalidOption as error:
        problems.append(str(error))
        return EVERY


def _fits(where: TaskFilter, state: State) -> bool:
    try:
        where.check(state)
    except InvalidOption:
        return False
    return True


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


class Choices:
    """A part of the admin's filter: links of which one is chosen."""

    template = "admin/filter.html"

    def __init__(self, title: str, choices: Iterable[tuple[str, str, bool]]) -> None:
        self.title = title
        self._choices = list(choices)

    def choices(self, changelist: object) -> list[dict[str, Any]]:
        """As the admin's tag takes them.

        Args:
            changelist: the page.
        """
        return [
            {"display": display, "query_string": query, "selected": selected}
            for display, query, selected in self._choices
        ]


class Form:
    """The part that is filled in."""

    template = "admin/taskflow/task/filter_form.html"
    title = "what is asked"

    def __init__(self, asked: Asked) -> None:
        self.hidden = asked.hidden(*WORDS, *AGES)
        self.given = asked.given

    def choices(self, changelist: object) -> list[dict[str, Any]]:
        """None: the template asks the part itself.

        Args:
            changelist: the page.
        """
        return []
