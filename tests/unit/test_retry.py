"""RetryPolicy: what becomes of a failed attempt, by tenacity's words and by Celery's."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st
from tenacity import (
    retry_if_exception,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    stop_after_delay,
    stop_before_delay,
    wait_chain,
    wait_exponential,
    wait_exponential_jitter,
    wait_fixed,
    wait_none,
    wait_random,
)

from taskflow.errors import InvalidOption, Reject, Retry, TaskCancelled, TaskTimeout
from taskflow.retry import Decision, RetryPolicy

RNG = random.Random(1)


def decide(
    policy: RetryPolicy,
    exception: BaseException | None = None,
    *,
    retried: int = 0,
    max_retries: int = 25,
    elapsed: float | None = None,
) -> Decision:
    failure = exception or OSError("hunter2")
    return policy.decide(failure, retried=retried, max_retries=max_retries, elapsed_seconds=elapsed, rng=RNG)


def delays(policy: RetryPolicy, count: int) -> list[float]:
    return [decide(policy, retried=n).delay for n in range(count)]


# --- the default -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("retried", [0, 1, 2, 10, 24])
def test_the_default_delay_is_asynqs_formula(retried: int) -> None:
    """n^4 + 15 + randint(0, 29) * (n + 1): 15 to 44 s after the first failure."""
    least = retried**4 + 15
    seen = {decide(RetryPolicy(), retried=retried).delay for _ in range(2000)}
    assert seen == {least + k * (retried + 1) for k in range(30)}


@pytest.mark.parametrize(
    "exception", [OSError(), ValueError(), TaskTimeout(), SystemExit(1), KeyboardInterrupt()]
)
def test_by_default_every_failure_is_retried(exception: BaseException) -> None:
    assert decide(RetryPolicy(), exception).action == "retry"


def test_the_last_retry_is_the_last() -> None:
    assert decide(RetryPolicy(), retried=24).action == "retry"
    assert decide(RetryPolicy(), retried=25) == Decision("archive", 0.0, "no retry left of 25")
    assert decide(RetryPolicy(), retried=0, max_retries=0).action == "archive"
    assert decide(RetryPolicy(), retried=9, max_retries=3).action == "archive"


# --- what a task says itself -----------------------------------------------------------------------------


def test_reject_and_cancellation_archive_at_once() -> None:
    assert decide(RetryPolicy(), Reject("no")) == Decision("archive", 0.0, "rejected by the task")
    assert decide(RetryPolicy(), TaskCancelled()).action == "archive"


def test_retry_overrules_the_policy_but_not_max_retries() -> None:
    policy = RetryPolicy.of(
        retry=retry_if_exception_type(OSError), stop=stop_after_attempt(1), wait=wait_fixed(9)
    )
    assert decide(policy, Retry(delay=5), retried=3) == Decision("retry", 5.0, "asked for by the task")
    assert decide(policy, Retry(delay=timedelta(minutes=1))).delay == 60
    assert decide(policy, Retry()).delay == 9
    assert decide(policy, Retry(delay=0)).delay == 0
    assert decide(policy, Retry(delay=5), retried=25).action == "archive"


def test_default_retry_delay_is_for_retry_and_for_failures_without_backoff() -> None:
    assert decide(RetryPolicy.of(default_retry_delay=7)).delay == 7
    assert decide(RetryPolicy.of(default_retry_delay=7), Retry()).delay == 7
    both = RetryPolicy.of(default_retry_delay=7, retry_backoff=True, retry_jitter=False)
    assert decide(both, retried=2).delay == 4
    assert decide(both, Retry(), retried=2).delay == 7


# --- tenacity's words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        (wait_fixed(3), [3, 3, 3, 3]),
        (wait_none(), [0, 0, 0, 0]),
        (wait_exponential(multiplier=2, max=10), [2, 4, 8, 10]),
        (wait_exponential_jitter(max=5, jitter=0), [1, 2, 4, 5]),
        (wait_chain(wait_fixed(1), wait_fixed(2)), [1, 2, 2, 2]),
        (wait_fixed(1) + wait_fixed(2), [3, 3, 3, 3]),
        (lambda state: state.attempt_number * 10, [10, 20, 30, 40]),
        (lambda state: 5 if isinstance(state.outcome.exception(), OSError) else 6, [5, 5, 5, 5]),
    ],
)
def test_wait_says_when_the_next_attempt_is(wait: Any, expected: list[float]) -> None:
    assert delays(RetryPolicy.of(wait=wait), 4) == expected


def test_tenacitys_own_jitter_works() -> None:
    assert all(1 <= delay <= 2 for delay in delays(RetryPolicy.of(wait=wait_random(1, 2)), 20))


def test_stop_archives_before_max_retries_does() -> None:
    policy = RetryPolicy.of(stop=stop_after_attempt(5))
    assert decide(policy, retried=3).action == "retry"
    assert decide(policy, retried=4) == Decision(
        "archive", 0.0, "stopped by the task's policy after attempt 5"
    )
    assert decide(policy, retried=2, max_retries=2).reason == "no retry left of 2"


def test_stop_by_time_needs_to_know_the_time() -> None:
    policy = RetryPolicy.of(stop=stop_after_attempt(50) | stop_after_delay(3600))
    assert decide(policy, elapsed=3599).action == "retry"
    assert decide(policy, elapsed=3600).action == "archive"
    assert decide(policy, elapsed=None).action == "retry"


def test_stop_before_delay_sees_the_coming_wait() -> None:
    policy = RetryPolicy.of(stop=stop_before_delay(100), wait=wait_fixed(50))
    assert decide(policy, elapsed=49).action == "retry"
    assert decide(policy, elapsed=50).action == "archive"


@pytest.mark.parametrize(
    ("retry", "exception", "action"),
    [
        (retry_if_exception_type(OSError), OSError(), "retry"),
        (retry_if_exception_type(OSError), ConnectionError(), "retry"),
        (retry_if_exception_type(OSError), ValueError(), "archive"),
        (retry_if_not_exception_type(ValueError), ValueError(), "archive"),
        (retry_if_exception_message(match="busy"), RuntimeError("busy"), "retry"),
        (retry_if_exception_message(match="busy"), RuntimeError("gone"), "archive"),
        (retry_if_exception_type(OSError) | retry_if_exception_type(ValueError), ValueError(), "retry"),
        (retry_if_exception(lambda error: bool(error.args)), OSError(), "archive"),
        (lambda state: state.outcome.failed, OSError(), "retry"),
    ],
)
def test_retry_says_which_failures_are_retried(retry: Any, exception: BaseException, action: str) -> None:
    assert decide(RetryPolicy.of(retry=retry), exception).action == action


def test_the_state_is_as_in_tenacitys_own_loop() -> None:
    seen: list[tuple[Any, ...]] = []

    def stop(state: tenacity.RetryCallState) -> bool:
        assert state.outcome is not None
        seen.append((state.attempt_number, state.seconds_since_start, state.idle_for, state.upcoming_sleep))
        assert state.outcome.attempt_number == state.attempt_number
        return False

    decide(RetryPolicy.of(wait=wait_fixed(3), stop=stop), retried=4, elapsed=60)
    assert seen == [(5, 60.0, 60, 3.0)]


# --- Celery's words --------------------------------------------------------------------------------------


def test_autoretry_for_archives_everything_else() -> None:
    policy = RetryPolicy.of(autoretry_for=(OSError, KeyError), dont_autoretry_for=(FileNotFoundError,))
    assert decide(policy, OSError()).action == "retry"
    assert decide(policy, KeyError()).action == "retry"
    assert decide(policy, FileNotFoundError()).action == "archive"
    refused = decide(policy, ValueError("hunter2"))
    assert refused == Decision("archive", 0.0, "ValueError is not retried by the task's policy")


def test_dont_autoretry_for_alone_retries_the_rest() -> None:
    policy = RetryPolicy.of(dont_autoretry_for=KeyError)
    assert decide(policy, KeyError()).action == "archive"
    assert decide(policy, OSError()).action == "retry"


def test_backoff_doubles_up_to_its_maximum() -> None:
    assert delays(RetryPolicy.of(retry_backoff=True, retry_jitter=False, retry_backoff_max=5), 5) == [
        1,
        2,
        4,
        5,
        5,
    ]
    assert delays(RetryPolicy.of(retry_backoff=3, retry_jitter=False), 3) == [3, 6, 12]
    assert (
        decide(RetryPolicy.of(retry_backoff=True, retry_jitter=False), retried=10**6, max_retries=10**7).delay
        == 600
    )


def test_backoff_with_jitter_draws_from_zero_to_the_delay() -> None:
    seen = {decide(RetryPolicy.of(retry_backoff=True), retried=2).delay for _ in range(500)}
    assert seen == {0, 1, 2, 3, 4}


def test_the_delay_can_be_replayed_with_a_seeded_generator() -> None:
    first, second = (
        [RetryPolicy().decide(OSError(), retried=n, max_retries=9, rng=random.Random(7)) for n in range(9)]
        for _ in range(2)
    )
    assert first == second


# --- limits and errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_delay", "kept"),
    [
        (float("inf"), 100 * 366 * 86400.0),
        (1e30, 100 * 366 * 86400.0),
        (-5, 0.0),
        (float("nan"), 0.0),
        (0, 0.0),
    ],
)
def test_an_absurd_delay_is_bounded(given_delay: float, kept: float) -> None:
    assert decide(RetryPolicy.of(wait=lambda state: given_delay)).delay == kept
    assert decide(RetryPolicy(), Retry(delay=given_delay)).delay == kept


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_a_decision_is_always_made_and_always_finite(retried: int, max_retries: int) -> None:
    for policy in (RetryPolicy(), RetryPolicy.of(retry_backoff=True)):
        decision = decide(policy, retried=retried, max_retries=max_retries)
        assert decision.action == ("retry" if retried < max_retries else "archive")
        assert 0 <= decision.delay < 4e9


async def asynchronous(state: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"wait": 5}, "`wait` takes one of tenacity's objects, not int"),
        (
            {"stop": stop_after_attempt},
            "`stop` takes one of tenacity's objects, not stop_after_attempt itself",
        ),
        ({"retry": OSError}, "`retry` takes one of tenacity's objects, not OSError itself"),
        ({"retry": asynchronous}, "`retry` cannot be asynchronous"),
        ({"wait": wait_fixed(1), "retry_backoff": True}, "either `wait`"),
        ({"wait": wait_fixed(1), "default_retry_delay": 5}, "either `wait`"),
        ({"retry": retry_if_exception_type(), "autoretry_for": (OSError,)}, "either `retry`"),
        ({"autoretry_for": ("OSError",)}, "`autoretry_for` takes a tuple of exception classes"),
        ({"autoretry_for": 5}, "`autoretry_for` takes a tuple"),
        ({"dont_autoretry_for": (int,)}, "`dont_autoretry_for` takes a tuple"),
        ({"retry_backoff": "2"}, "`retry_backoff` takes seconds, not str"),
        ({"retry_backoff": True, "retry_backoff_max": -1}, "`retry_backoff_max` must be between"),
        ({"default_retry_delay": float("nan")}, "`default_retry_delay` must be between"),
    ],
)
def test_bad_policies_are_refused_when_the_task_is_declared(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidOption, match=problem):
        RetryPolicy.of(**options)


def test_no_reason_holds_the_text_of_the_exception() -> None:
    for policy in (
        RetryPolicy(),
        RetryPolicy.of(autoretry_for=KeyError),
        RetryPolicy.of(stop=stop_after_attempt(1)),
    ):
        assert "hunter2" not in decide(policy).reason
