"""`-s`: states by Asynq's names, and what is said to whoever writes another tool's word."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result

from tests.inspector.stored import Stored

Cli = Callable[..., Result]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("FAILURE", "'FAILURE' is -s archived here."),
        ("running", "'running' is -s active here."),
        ("SUCCESS", "'SUCCESS' is -s completed here."),
        ("REVOKED", "'REVOKED' is -s archived --error TaskCancelled here."),
    ],
)
def test_another_tools_word_for_a_state_is_answered_with_ours(cli: Cli, word: str, said: str) -> None:
    """Celery's users know states by the words of `AsyncResult.status`."""
    result = cli("task", "ls", "--all-queues", "-s", word)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith(said)


def test_a_state_that_an_order_is_not_for_is_not_proposed(cli: Cli) -> None:
    result = cli("task", "delete", "--all-queues", "-s", "running")
    assert result.exit_code == 2
    assert "is not one of" in result.stderr


def test_upper_case_is_the_same_state(cli: Cli, stored: Stored) -> None:
    assert cli("task", "ls", "-q", stored.queue, "-s", "Archived").stdout.startswith("No archived tasks")


def test_a_state_that_is_missing_is_one_line(cli: Cli) -> None:
    """Every error's last line is the whole of it."""
    last = cli("task", "ls", "--all-queues").stderr.splitlines()[-1]
    assert last.startswith("Error: Missing option")
    assert last.endswith("pending, active, scheduled, retry, archived, completed, aggregating")
