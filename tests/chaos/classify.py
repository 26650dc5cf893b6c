"""What the ledger says: lost, doubled, unexpected, recovered (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .ledger import Entry

SLACK = 2.0
"""Seconds for which an end is still "in flight": its verdict may not have been written and replicated yet."""

LONG_SLACK = 15.0
"""The same where replies are lost or servers are away: two socket timeouts, and a promotion."""


ABOUT = 0.5
"""Seconds by which a deploy's times are not exact."""


@dataclass(slots=True)
class Story:
    """All that happened to one task: when it was asked for and answered, and each attempt at it.

    `detail` is its id, or the type of the exception.
    """

    invoked: float | None = None
    queue: str = "-"
    outcome: str = ""
    answered: float | None = None
    detail: str = "-"
    starts: dict[str, float] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    raised: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Strike:
    """What a nemesis did, until when it was not mended, and whom it hit."""

    name: str
    begin: float
    end: float
    whom: str = "-"


@dataclass(frozen=True, slots=True)
class Classified:
    """The tags of a run by what became of them.

    Args:
        attempts: how many tasks producers asked for.
        ok: how many were acknowledged.
        failed: how many were refused for certain.
        unknown: how many calls ended in an exception after they may have been sent (or never ended).
        lost: acknowledged, and no handler ever ended. The one number that must be 0.
        doubled: more than one handler ended.
        unexpected: a handler ended, and nobody had asked.
        recovered: unknown to the producer, and a handler ended.
        contradicted: the producer was told that it was refused, and a handler ended.
        archived: acknowledged and given up with a reason instead of an end.
        repeated: started more than once, whatever the ends.
    """

    attempts: int
    ok: int
    failed: int
    unknown: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    unexpected: tuple[str, ...]
    recovered: tuple[str, ...]
    contradicted: tuple[str, ...]
    archived: tuple[str, ...]
    repeated: tuple[str, ...]


def gather(entries: Iterable[Entry]) -> dict[str, Story]:
    """The events of producers and handlers, by task."""
    stories: dict[str, Story] = {}
    for entry in entries:
        if entry.kind in ("strike", "healed", "failed"):
            continue
        story = stories.setdefault(entry.tag, Story())
        match entry.kind:
            case "invoke":
                story.invoked, story.queue = entry.at, entry.detail
            case "ok" | "fail" | "unknown":
                story.outcome, story.answered, story.detail = entry.kind, entry.at, entry.detail
            case "start":
                story.starts[entry.who] = entry.at
            case "end":
                story.ends[entry.who] = entry.at
            case "raise":
                story.raised[entry.who] = entry.at
            case _:
                raise ValueError(f"the ledger has an event of no known kind: {entry}")
    return stories


def strikes_in(entries: Iterable[Entry]) -> list[Strike]:
    """The blows of the nemeses: each from its `strike` to its `healed`. One that never healed lasts for ever."""
    open_: dict[tuple[str, str], float] = {}
    found: list[Strike] = []
    for entry in sorted(entries, key=lambda entry: entry.at):
        key = (entry.tag, entry.who)
        if entry.kind == "strike":
            open_[key] = entry.at
        elif entry.kind == "healed" and key in open_:
            found.append(Strike(entry.tag, open_.pop(key), entry.at, entry.detail))
    found += [Strike(name, begin, float("inf")) for (name, _), begin in open_.items()]
    return sorted(found, key=lambda strike: strike.begin)


def classify(stories: Mapping[str, Story], archived: Collection[str] = ()) -> Classified:
    """Sort the tasks of a run that is over and has drained.

    Args:
        stories: by tag.
        archived: the tags of the tasks that the queues keep as archived.
    """
    asked = {tag: story for tag, story in stories.items() if story.invoked is not None}

    def those(condition: Mapping[str, bool]) -> tuple[str, ...]:
        return tuple(sorted(tag for tag, holds in condition.items() if holds))

    unended = {tag for tag, story in asked.items() if story.outcome == "ok" and not story.ends}
    return Classified(
        attempts=len(asked),
        ok=sum(story.outcome == "ok" for story in asked.values()),
        failed=sum(story.outcome == "fail" for story in asked.values()),
        unknown=sum(story.outcome in ("unknown", "") for story in asked.values()),
        lost=tuple(sorted(unended - set(archived))),
        doubled=those({tag: len(story.ends) > 1 for tag, story in stories.items()}),
        unexpected=those({tag: bool(s.ends) and s.invoked is None for tag, s in stories.items()}),
        recovered=those({tag: bool(s.ends) and s.outcome in ("unknown", "") for tag, s in asked.items()}),
        contradicted=those({tag: bool(s.ends) and s.outcome == "fail" for tag, s in asked.items()}),
        archived=tuple(sorted(unended & set(archived))),
        repeated=those({tag: len(s.starts) > 1 + len(s.raised) for tag, s in stories.items()}),
    )


def in_flight(story: Story, strikes: Iterable[Strike], slack: float = SLACK) -> bool:
    """Whether a blow fell while some attempt but the last was on its way.

    From its start until `slack` seconds after its end, an attempt may lose its verdict, and the task runs again:
    that is at-least-once. An attempt that is repeated without any blow is a bug.
    """
    attempts = sorted(story.starts, key=story.starts.__getitem__)[:-1]
    for who in attempts:
        begin = story.starts[who]
        end = story.ends.get(who, float("inf")) + slack
        if any(strike.begin <= end and strike.end >= begin for strike in strikes):
            return True
    return False


def unexplained(
    tags: Iterable[str], stories: Mapping[str, Story], strikes: Sequence[Strike], slack: float = SLACK
) -> tuple[str, ...]:
    """The tasks among `tags` that ran again although no blow fell while they were in flight."""
    return tuple(tag for tag in tags if not in_flight(stories[tag], strikes, slack))


def cut_off(story: Story, strikes: Iterable[Strike], grace: float) -> bool:
    """Whether each attempt but the last was one that could not end within the grace of a SIGTERM.

    It had begun when the signal came, and had not ended when the grace was over: give or take `ABOUT`, since a signal
    arrives after it was written down, and a verdict is written after its task has ended.
    """
    attempts = sorted(story.starts, key=story.starts.__getitem__)[:-1]
    return all(
        any(
            story.starts[who] <= strike.begin + ABOUT
            and story.ends.get(who, float("inf")) >= strike.begin + grace - ABOUT
            for strike in strikes
        )
        for who in attempts
        if who not in story.raised
    )


def acknowledged_during(
    stories: Mapping[str, Story], strikes: Iterable[Strike], settle: float
) -> tuple[str, ...]:
    """The tasks of a queue that were acknowledged while a blow at that queue lasted, after `settle` seconds of it."""
    windows = [(strike.whom, strike.begin + settle, strike.end) for strike in strikes]
    return tuple(
        tag
        for tag, story in stories.items()
        if story.outcome == "ok"
        and story.answered is not None
        and any(whom == story.queue and begin < story.answered < end for whom, begin, end in windows)
    )


def overtaken(story: Story, strikes: Iterable[Strike]) -> bool:
    """Whether an attempt ended after a pause during which another had been started: its verdict comes too late."""
    return any(
        story.starts[early] < strike.begin and story.ends.get(early, 0.0) > strike.begin
        for strike in strikes
        for early in story.starts
        if any(strike.begin < at < strike.end for late, at in story.starts.items() if late != early)
        and story.ends.get(early, 0.0) > strike.end - SLACK
    )


def longest_gap(times: Iterable[float], begin: float, end: float) -> float:
    """The longest time between two neighbours, of the events between `begin` and `end` and these two."""
    inside = sorted(at for at in times if begin <= at <= end)
    return max(after - before for before, after in pairwise([begin, *inside, end]))
