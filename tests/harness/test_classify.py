"""What the ledger is made to say; nothing here runs a server."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.classify import (
    Strike,
    acknowledged_during,
    classify,
    gather,
    in_flight,
    longest_gap,
    overtaken,
    strikes_in,
    unexplained,
)
from tests.chaos.failover import numbers, too_slow
from tests.chaos.ledger import Entry, Ledger, read
from tests.chaos.report import Report, load, wrong


def entries(text: str) -> list[Entry]:
    """One event a line: kind, tag, time, and perhaps who and a detail."""
    found = []
    for line in text.strip().splitlines():
        kind, tag, at, *rest = line.split()
        found.append(Entry(kind, tag, float(at), *rest))
    return found


LEDGER = """
    invoke good 1 - q
    ok good 2
    start good 3 a
    end good 4 a
    invoke gone 1 - q
    ok gone 2
    start gone 3 a
    invoke twice 1 - q
    ok twice 2
    start twice 3 a
    end twice 4 a
    start twice 9 b
    end twice 10 b
    start stranger 3 a
    end stranger 4 a
    invoke unsure 1 - q
    unknown unsure 6 - BrokerUnavailable
    start unsure 3 a
    end unsure 4 a
    invoke unsure-and-gone 1 - q
    unknown unsure-and-gone 6 - BrokerUnavailable
    invoke denied 1 - q
    fail denied 2 - TaskIdConflict
    start denied 3 a
    end denied 4 a
    invoke refused 1 - q
    fail refused 2 - DuplicateTask
    invoke given-up 1 - q
    ok given-up 2
    start given-up 3 a
    invoke unanswered 1 - q
    end unanswered 5 a
    invoke retried 1 - q
    ok retried 2
    start retried 3 a
    raise retried 4 a
    start retried 5 b
    end retried 6 b
"""


def test_sorts_every_kind_of_story() -> None:
    found = classify(gather(entries(LEDGER)), archived={"given-up", "good"})
    assert (found.attempts, found.ok, found.failed, found.unknown) == (10, 5, 2, 3)
    assert found.lost == ("gone",)
    assert found.doubled == ("twice",)
    assert found.unexpected == ("stranger",)
    assert found.recovered == ("unanswered", "unsure")
    assert found.contradicted == ("denied",)
    assert found.archived == ("given-up",)
    assert found.repeated == ("twice",), "a retry after a failure is no repetition"


def test_an_empty_ledger_has_nothing() -> None:
    found = classify(gather([]))
    assert found.attempts == found.ok == 0
    assert found.lost == found.doubled == ()


def test_strikes_last_until_they_are_mended() -> None:
    found = strikes_in(
        entries(
            "strike cut 1 1\nhealed cut 2 1 q\nstrike cut 3 2\nfailed cut 4 2\nstrike kill 1.5 1\nhealed kill 5 1"
        )
    )
    assert found == [Strike("cut", 1, 2, "q"), Strike("kill", 1.5, 5), Strike("cut", 3, float("inf"))]


def test_a_blow_explains_only_what_was_in_flight() -> None:
    story = gather(entries("start t 10 a\nend t 11 a\nstart t 40 b\nend t 41 b"))["t"]
    assert in_flight(story, [Strike("kill", 10.5, 10.6)])
    assert in_flight(story, [Strike("kill", 11.5, 11.6)], slack=2), "its verdict may not have been written"
    assert not in_flight(story, [Strike("kill", 13.5, 13.6)], slack=2)
    assert not in_flight(story, [Strike("kill", 8, 9.9)])
    assert not in_flight(story, [Strike("kill", 40.5, 41)]), (
        "it hit the last attempt, which no other followed"
    )
    assert in_flight(story, [Strike("kill", 2, float("inf"))])
    cut_off = gather(entries("start t 10 a\nstart t 40 b\nend t 41 b"))["t"]
    assert in_flight(cut_off, [Strike("kill", 30, 31)]), (
        "an attempt without an end was in flight until the next"
    )
    assert unexplained(["t"], {"t": story}, []) == ("t",)


def test_acknowledged_during_knows_queue_and_settling() -> None:
    stories = gather(entries("invoke a 1 - q\nok a 6\ninvoke b 1 - other\nok b 6\ninvoke c 1 - q\nok c 5.1"))
    assert acknowledged_during(stories, [Strike("replica-pause", 5, 8, "q")], settle=0.5) == ("a",)


def test_a_verdict_that_comes_after_another_attempt_is_late() -> None:
    story = gather(entries("start t 10 a\nstart t 20 b\nend t 21 b\nend t 25.1 a"))["t"]
    assert overtaken(story, [Strike("worker-pause", 11, 25)])
    assert not overtaken(story, [Strike("worker-pause", 22, 25)]), "nobody had taken over during that pause"
    in_time = gather(entries("start t 10 a\nend t 10.5 a\nstart t 20 b\nend t 21 b"))["t"]
    assert not overtaken(in_time, [Strike("worker-pause", 11, 25)]), "it had ended before the pause"


def test_longest_gap_counts_from_and_to_the_borders() -> None:
    assert longest_gap([1, 2, 5, 6], 0, 7) == 3
    assert longest_gap([5], 0, 7) == 5
    assert longest_gap([], 0, 7) == 7
    assert longest_gap([-5, 100], 0, 7) == 7


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "one.ledger")
    ledger.write("start", "tag", "who", "id")
    ledger.close()
    with (tmp_path / "one.ledger").open("a") as file:
        file.write("end tag 123.4")
    (entry,) = read(tmp_path)
    assert (entry.kind, entry.tag, entry.who, entry.detail) == ("start", "tag", "who", "id")


def test_a_report_is_wrong_for_every_broken_promise(tmp_path: Path) -> None:
    assert wrong(Report("fine", ok=1, drained=1.0)) == []
    assert wrong(Report("hit", ok=1, drained=1.0, doubled=["a"], repeated=["a"])) == [], "a blow explains it"
    cases = {
        "lost": Report("r", ok=1, drained=1.0, lost=["a"]),
        "nobody had asked": Report("r", ok=1, drained=1.0, unexpected=["a"]),
        "told that they were refused": Report("r", ok=1, drained=1.0, contradicted=["a"]),
        "archived": Report("r", ok=1, drained=1.0, archived=["a"]),
        "without any blow": Report("r", ok=1, drained=1.0, doubled=["a"], unexplained=["a"]),
        "did not drain": Report("r", ok=1, left={"q": {"active": 1}}),
        "shows nothing": Report("r", drained=1.0),
        "a call hangs": Report("r", ok=1, drained=1.0, problems=["a call hangs"]),
    }
    for words, report in cases.items():
        (sentence,) = wrong(report)
        assert words in sentence
    report = cases["lost"]
    report.save(tmp_path / "report.json")
    assert load(tmp_path / "report.json") == report


def test_the_stalls_of_a_failover() -> None:
    """The master dies at 100; a replica is master at 106. Calls and starts come back at 106.5 and 106.8."""
    lines = []
    for number in range(200):
        at = 90 + number * 0.1 if number < 100 else 106.5 + (number - 100) * 0.1
        invoked = 100.0 if number == 100 else at - 0.001
        start = at if number < 100 else at + 0.3
        lines += [f"invoke b{number} {invoked} - busy", f"ok b{number} {at} - id"]
        lines += [f"start b{number} {start} a", f"end b{number} {start} a"]
    for number in range(300):
        at = 90 + number * 0.1
        lines += [f"invoke s{number} {at} - side", f"ok s{number} {at} - id"]
        lines += [f"start s{number} {at} a", f"end s{number} {at} a"]
    found = numbers(entries("\n".join(lines)), "busy", killed=100.0, promoted=106.0)
    assert found["promotion"] == 6.0
    assert round(found["longest call"], 3) == 6.5
    assert round(found["producers still"], 3) == 6.6
    assert round(found["workers still"], 3) == 6.9
    assert 0.95 < found["others' pace"] < 1.05
    assert too_slow(found) == []
    assert len(too_slow({**found, "promotion": 5.0, "others' pace": 0.5})) == 3
