"""Rules of the way of a task that cost pace to keep: with one taken out, the test that is there for it fails.

Each is taken out of a copy of the package, beside a copy of the tests, which runs that one test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FETCHER = "worker/taking/fetcher.py"
ALLOCATOR = "worker/taking/slot_allocator.py"
FINISH = "broker/scripts/finish.lua"
DEQUEUE = "broker/scripts/dequeue.lua"
HOLDS = "broker/scripts/include/holds.lua"
IN_FETCHER = "tests/worker/taking/test_fetcher.py::"
IN_ALLOCATOR = "tests/worker/taking/test_slot_allocator.py::"
IN_TRANSITIONS = "tests/commands/test_transitions.py::"
IN_UNWRITTEN = "tests/worker/holding/test_unwritten.py::"


@dataclass(frozen=True)
class Rule:
    """A rule, where it stands, what stands there without it, and the test that sees that."""

    file: str
    text: str
    without: str
    test: str


RULES: dict[str, Rule] = {
    # --- the next dequeue is on the wire before the last reply is worked through
    "the next dequeue is sent before a full batch is given out": Rule(
        FETCHER,
        "give = fetch.give_before if before else None",
        "give = fetch.give_before()",
        IN_FETCHER + "test_the_next_dequeue_is_on_its_way_before_a_full_batch_is_given_out",
    ),
    "a batch that was not full is given out at once": Rule(
        FETCHER,
        "if not reply.tasks or len(reply.tasks) < count:",
        "if not reply.tasks:",
        IN_FETCHER + "test_the_next_dequeue_is_on_its_way_before_a_full_batch_is_given_out",
    ),
    "a batch is given out whatever becomes of the dequeue after it": Rule(
        FETCHER,
        "        finally:\n            fetch.give_before()\n",
        "        finally:\n",
        IN_FETCHER + "test_a_full_batch_is_given_out_though_the_loop_is_ended_before_the_next_is_sent",
    ),
    "while a reply is awaited nobody says that all is known": Rule(
        FETCHER,
        "            self._unsure = True\n",
        "",
        IN_FETCHER + "test_a_stop_waits_for_the_fetch_that_is_under_way",
    ),
    "a stop asks for no more": Rule(
        FETCHER,
        "            if self._ends:\n                raise _Ends\n",
        "",
        IN_FETCHER + "test_a_stop_asks_for_no_more_and_gives_out_what_was_on_its_way",
    ),
    # --- and its room
    "what was taken and is not given out takes room": Rule(
        ALLOCATOR,
        "self._grant(part, taken + count)",
        "self._grant(part, count)",
        IN_ALLOCATOR
        + "test_a_fetch_may_follow_before_the_one_before_is_given_out_as_far_as_there_is_room_beside_it",
    ),
    "what was given out takes room once": Rule(
        ALLOCATOR,
        "part.granted = max(part.granted - taken, 0)",
        "pass",
        IN_ALLOCATOR
        + "test_a_fetch_may_follow_before_the_one_before_is_given_out_as_far_as_there_is_room_beside_it",
    ),
    "what a slow fetch has brought takes room": Rule(
        ALLOCATOR,
        "own = 0 if part.claim is not None else taken",
        "own = 0",
        IN_ALLOCATOR + "test_what_follows_is_claimed_also_when_the_fetch_before_took_long",
    ),
    "what waits to be written takes room": Rule(
        ALLOCATOR,
        "self._unclaimed() - own - self._unwritten()",
        "self._unclaimed() - own",
        IN_ALLOCATOR + "test_nothing_follows_where_there_is_less_room_than_was_taken",
    ),
    "less than was taken is not asked for ahead": Rule(
        ALLOCATOR,
        "if count < taken:",
        "if count <= 0:",
        IN_ALLOCATOR + "test_nothing_follows_where_there_is_less_room_than_was_taken",
    ),
    "another queue is weighed first": Rule(
        ALLOCATOR,
        "if part is None or self._apart is not None or self._has_rivals(part):",
        "if part is None or self._apart is not None:",
        IN_ALLOCATOR + "test_nothing_follows_where_another_queue_has_to_be_weighed",
    ),
    # --- what a call took is on record, for one that is sent again
    "a dequeue notes what it takes": Rule(
        DEQUEUE,
        "redis.call('SET', taken, cmsgpack.pack(record), 'EX', 60)",
        "redis.call('GET', taken)",
        IN_TRANSITIONS + "test_a_repeated_dequeue_gets_the_same_tasks",
    ),
    "the record of another call is not this one's": Rule(
        DEQUEUE,
        "record[1] == token",
        "record[1]",
        IN_TRANSITIONS + "test_a_repeated_dequeue_gets_the_same_tasks",
    ),
    "what it took and holds no more is left out": Rule(
        DEQUEUE,
        "if fields[1] and holds(token, fields[2], fields[3], call('ZSCORE', lease, id)) then",
        "if fields[1] then",
        IN_TRANSITIONS + "test_a_repeated_dequeue_leaves_out_what_go_has_taken_since",
    ),
    # --- a lease of ours ends half-way through a second
    "dequeue writes a lease of ours": Rule(
        DEQUEUE,
        "tonumber(lease_seconds) + 0.5,",
        "tonumber(lease_seconds),",
        IN_TRANSITIONS + "test_dequeue_leases_to_the_owner",
    ),
    "extend writes a lease of ours": Rule(
        "broker/scripts/extend.lua",
        "tonumber(lease_seconds) + 0.5",
        "tonumber(lease_seconds)",
        IN_TRANSITIONS + "test_extend_renews_what_is_held_and_names_what_is_not",
    ),
    "extend leaves Go's lease alone": Rule(
        HOLDS,
        "receipt == token and is_ours(score)",
        "receipt == token",
        IN_TRANSITIONS + "test_extend_renews_what_is_held_and_names_what_is_not",
    ),
    "a verdict on a task that Go has taken is refused": Rule(
        HOLDS,
        "return not score or score % 1 > 0",
        "return true",
        IN_TRANSITIONS + "test_a_verdict_is_refused_to_whoever_does_not_hold_the_task",
    ),
    "Go's lease has half a minute more": Rule(
        "broker/scripts/recover.lua",
        "local ours = is_ours(expires_at) or is_about(fields[2], fields[1])",
        "local ours = true",
        IN_TRANSITIONS + "test_recover_takes_ours_at_the_end_of_the_lease_and_gos_half_a_minute_later",
    ),
    # --- of tasks that are simply done a call has the bare ids
    "each task has its own reply": Rule(
        "broker/commands/finish.py",
        "order += [items + index for group in groups for index in group]",
        "order += range(count - 1, items - 1, -1)",
        IN_TRANSITIONS + "test_tasks_that_are_simply_done_are_written_in_one_call_whoever_took_them",
    ),
    "each task is written with the token of the call that took it": Rule(
        "broker/commands/finish.py",
        "if len(tokens) == 1:",
        "if tokens:",
        IN_TRANSITIONS + "test_tasks_that_are_simply_done_are_written_in_one_call_whoever_took_them",
    ),
    "what stands twice in a call counts once": Rule(
        FINISH,
        "if is_done[id] then\n      if resent == '1' then reply = Written.ALREADY_WRITTEN end\n    elseif holds",
        "if holds",
        IN_TRANSITIONS + "test_a_batch_of_verdicts_of_all_lengths_is_written_once_each",
    ),
    "what is gone when it is sent again was written": Rule(
        FINISH,
        "    elseif resent == '1' and not fields[1] then\n      reply = Written.ALREADY_WRITTEN\n",
        "",
        IN_TRANSITIONS + "test_a_repeated_verdict_changes_nothing_and_is_a_success",
    ),
    # --- up to 500 of them
    "what is not done stays active": Rule(
        FINISH,
        "if kept_count > 0 then redis.call('RPUSH', active, unpack(kept)) end",
        "",
        IN_TRANSITIONS + "test_what_was_taken_last_is_done_first",
    ),
    "what is done is active no more, wherever it stood": Rule(
        FINISH,
        "if is_done[id] then redis.call('LREM', active, -1, id) end",
        "",
        IN_TRANSITIONS + "test_what_was_taken_last_is_done_first",
    ),
    "what is more work goes in smaller calls": Rule(
        "worker/holding/unwritten.py",
        "room = (BATCH // 2 if self.done else BATCH) if self.fresh else DONE_BATCH",
        "room = DONE_BATCH",
        IN_UNWRITTEN + "test_what_is_simply_done_and_what_is_more_than_that_do_not_keep_each_other_waiting",
    ),
    "what waits is kept until it is answered": Rule(
        "worker/holding/unwritten.py",
        "        self.failed.append(batch)\n        return batch\n",
        "        return batch\n",
        IN_UNWRITTEN + "test_what_was_sent_is_kept_until_it_is_answered",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and its tests."""
    folder = tmp_path_factory.mktemp("rules")
    for name in ("taskflow", "tests"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "peer", "previous")
        )
    shutil.copy(ROOT / "setup.cfg", folder)
    # A test that fails leaves things behind, rightly: nobody has to wait for their end.
    check = folder / "tests" / "leaks" / "check.py"
    check.write_text(check.read_text().replace("PATIENCE = 20.0", "PATIENCE = 0.5"))
    return folder


def run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", test],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_taken_out_is_missed(copy: Path, name: str) -> None:
    rule = RULES[name]
    file = copy / "taskflow" / rule.file
    sound = file.read_text()
    assert sound.count(rule.text) == 1, f"{rule.file} has no such rule any more: the test needs care"
    file.write_text(sound.replace(rule.text, rule.without))
    try:
        done = run(copy, rule.test)
    finally:
        file.write_text(sound)
    assert done.returncode == 1, done.stdout + done.stderr
    assert " failed" in done.stdout
    assert "SyntaxError" not in done.stdout


@pytest.mark.timeout(300)
def test_with_all_rules_they_pass(copy: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *sorted({rule.test for rule in RULES.values()}),
        ],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
