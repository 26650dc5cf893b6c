"""`RetryPolicy`: what becomes of an attempt that failed, and when the next one is due (pure).

tenacity's objects are the words (`wait`, `stop`, `retry`), but nothing sleeps: they are asked once, after a
failure, and the task goes back to the server. Celery's words are translated to them.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

import tenacity

from taskflow.errors import Cancel, InvalidOption, Reject, Retry, TaskCancelled

Strategy = Callable[[tenacity.RetryCallState], Any]
"""One of tenacity's objects, or a function that takes the same state."""

ExceptionTypes = type[BaseException] | Sequence[type[BaseException]]

_MAX_DELAY = 100 * 366 * 86400.0
_RETRYING = tenacity.Retrying()  # tenacity's state wants one; it is never run


class Randomness(Protocol):
    """What draws a delay's random part: a `random.Random`, or the module itself."""

    def randrange(self, start: int, stop: int | None = None, /) -> int:
        """Draw a whole number below `start`, or between the two."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How a failed attempt ends.

    Args:
        action: "retry" or "archive".
        delay: seconds until the next attempt, for "retry".
        reason: why, in a few words. It holds no text of the exception.
    """

    action: Literal["retry", "archive"]
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class AsynqDelay:
    """Asynq's delay: n^4 + 15 + (0 to 29) * (n + 1) seconds, n being the retries so far."""

    def seconds(self, state: tenacity.RetryCallState, rng: Randomness) -> float:
        """Say how long to wait after this failure."""
        n = state.attempt_number - 1
        return n**4 + 15 + rng.randrange(30) * (n + 1)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Celery's delay: factor * 2^n seconds up to a maximum, n being the retries so far; jitter: 0 to that."""

    factor: float = 1
    maximum: float = 600
    jitter: bool = True

    def seconds(self, state: tenacity.RetryCallState, rng: Randomness) -> float:
        """Say how long to wait after this failure."""
        n = min(state.attempt_number - 1, 64)  # beyond, the maximum holds in any case
        delay = min(self.maximum, self.factor * 2**n)
        return rng.randrange(int(delay) + 1) if self.jitter else delay


@dataclass(frozen=True, slots=True)
class TenacityWait:
    """A delay by one of tenacity's `wait` objects. Its random part is its own."""

    wait: Strategy

    def seconds(self, state: tenacity.RetryCallState, rng: Randomness) -> float:
        """Say how long to wait after this failure."""
        return float(self.wait(state))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a task is tried again. The default is Asynq's: after every failure, later each time.

    Make it with `RetryPolicy.of`. How often at most is not part of it: `max_retries` is an option of a call.

    Args:
        delay: how long to wait.
        stop: when to give up, whatever `max_retries` still allows; None for never.
        retry: which failures to retry; None for all.
        asked_delay: seconds to wait after `raise Retry` without a delay; None for `delay`.
    """

    delay: AsynqDelay | Backoff | TenacityWait = AsynqDelay()
    stop: Strategy | None = None
    retry: Strategy | None = None
    asked_delay: float | None = None

    @classmethod
    def of(
        cls,
        *,
        wait: Strategy | None = None,
        stop: Strategy | None = None,
        retry: Strategy | None = None,
        autoretry_for: ExceptionTypes = (),
        dont_autoretry_for: ExceptionTypes = (),
        retry_backoff: bool | float = False,
        retry_backoff_max: float = 600,
        retry_jitter: bool = True,
        default_retry_delay: float | timedelta | None = None,
    ) -> RetryPolicy:
        """Make a policy from a task's options.

        Args:
            wait: tenacity's, as `wait_exponential_jitter(max=600)`.
            stop: tenacity's, as `stop_after_attempt(5) | stop_after_delay(3600)`.
            retry: tenacity's, as `retry_if_exception_type(OSError)`.
            autoretry_for: Celery's: retry these only, archive after any other. (In Celery nothing is retried
                without it; here everything is.)
            dont_autoretry_for: Celery's: archive after these.
            retry_backoff: Celery's: True, or the factor in seconds.
            retry_backoff_max: Celery's, in seconds.
            retry_jitter: Celery's.
            default_retry_delay: Celery's, in seconds; with `retry_backoff` it is only for `raise Retry`.

        Returns:
            The policy.

        Raises:
            InvalidOption: a value cannot be, or the words of both contradict each other.

        Example:
            >>> policy = RetryPolicy.of(retry_backoff=2, retry_jitter=False, autoretry_for=(OSError,))
            >>> policy.decide(OSError(), retried=3, max_retries=25)
            Decision(action='retry', delay=16.0, reason='failed with OSError')
        """
        for name, ask in (("wait", wait), ("stop", stop), ("retry", retry)):
            _check_ask(name, ask)
        only, never = _types("autoretry_for", autoretry_for), _types("dont_autoretry_for", dont_autoretry_for)
        if retry and (only or never):
            raise InvalidOption(
                "give either `retry` (tenacity) or `autoretry_for`/`dont_autoretry_for` (Celery)"
            )
        asked = None if default_retry_delay is None else _seconds("default_retry_delay", default_retry_delay)
        if wait and (retry_backoff or asked is not None):
            raise InvalidOption(
                "give either `wait` (tenacity) or `retry_backoff`/`default_retry_delay` (Celery)"
            )
        delay: AsynqDelay | Backoff | TenacityWait = AsynqDelay()
        if wait:
            delay = TenacityWait(wait)
        elif retry_backoff:
            factor = 1.0 if retry_backoff is True else _seconds("retry_backoff", retry_backoff)
            delay = Backoff(factor, _seconds("retry_backoff_max", retry_backoff_max), retry_jitter)
        elif asked is not None:
            delay = TenacityWait(tenacity.wait_fixed(asked))
        return cls(delay, stop, retry or _predicate(only, never), asked)

    def decide(
        self,
        exception: BaseException,
        *,
        retried: int,
        max_retries: int,
        elapsed_seconds: float | None = None,
        rng: Randomness = random,
    ) -> Decision:
        """Decide after a failure.

        Args:
            exception: what the attempt raised.
            retried: retries so far, without the one in question.
            max_retries: how many there may be.
            elapsed_seconds: since the task was enqueued, for `stop_after_delay`; None when not known, and
                then no policy stops for it.
            rng: draws the random part of a delay.

        Returns:
            What to do, when and why.

        Raises:
            Exception: whatever a `wait`, `stop` or `retry` of the user's own raises.

        Example:
            >>> RetryPolicy().decide(OSError(), retried=25, max_retries=25)
            Decision(action='archive', delay=0.0, reason='no retry left of 25')
        """
        if isinstance(exception, Reject):
            return _archive("rejected by the task")
        if isinstance(exception, TaskCancelled | Cancel):
            return _archive("cancelled")
        if isinstance(exception, Retry) and exception.max_retries is not None:
            max_retries = exception.max_retries
        if retried >= max_retries:
            return _archive(f"no retry left of {max_retries}")
        state = _state(exception, retried, elapsed_seconds)
        if isinstance(exception, Retry):
            return _retry(self._asked_seconds(exception, state, rng), "asked for by the task")
        kind = type(exception).__name__
        if self.retry is not None and not self.retry(state):
            return _archive(f"{kind} is not retried by the task's policy")
        state.upcoming_sleep = self.delay.seconds(state, rng)
        if self.stop is not None and self.stop(state):
            return _archive(f"stopped by the task's policy after attempt {state.attempt_number}")
        return _retry(state.upcoming_sleep, f"failed with {kind}")

    def _asked_seconds(self, asked: Retry, state: tenacity.RetryCallState, rng: Randomness) -> float:
        if asked.delay is not None:
            return asked.delay
        return self.delay.seconds(state, rng) if self.asked_delay is None else self.asked_delay


def _state(exception: BaseException, retried: int, elapsed_seconds: float | None) -> tenacity.RetryCallState:
    """Make the state that tenacity's objects look at, as if its own loop had got here."""
    state = tenacity.RetryCallState(_RETRYING, None, (), {})
    state.attempt_number = retried + 1
    state.outcome = tenacity.Future(state.attempt_number)
    state.outcome.set_exception(exception)
    state.start_time, state.outcome_timestamp = 0.0, elapsed_seconds or 0.0
    state.idle_for = elapsed_seconds or 0.0  # most of it: a task waits longer than it runs
    return state


def _archive(reason: str) -> Decision:
    return Decision("archive", 0.0, reason)


def _retry(delay: float, reason: str) -> Decision:
    return Decision("retry", within_bounds(delay), reason)


def within_bounds(delay: float) -> float:
    """Seconds to wait, as they can be stored.

    A policy may say "for ever" (tenacity's maximum is 146 billion years) or, wrongly, NaN or less than 0.
    """
    return min(float(delay), _MAX_DELAY) if delay > 0 else 0.0


def _predicate(
    only: tuple[type[BaseException], ...], never: tuple[type[BaseException], ...]
) -> Strategy | None:
    if only and never:
        return tenacity.retry_all(
            tenacity.retry_if_exception_type(only), tenacity.retry_if_not_exception_type(never)
        )
    if only:
        return tenacity.retry_if_exception_type(only)
    return tenacity.retry_if_not_exception_type(never) if never else None


def _check_ask(name: str, ask: object) -> None:
    if ask is None:
        return
    if not callable(ask) or isinstance(ask, type):
        raise InvalidOption(f"option `{name}` takes one of tenacity's objects, not {_type_name(ask)}")
    if inspect.iscoroutinefunction(ask) or inspect.iscoroutinefunction(type(ask).__call__):
        raise InvalidOption(f"option `{name}` cannot be asynchronous: it is asked once, between attempts")


def _types(name: str, given: Any) -> tuple[type[BaseException], ...]:
    types = (given,) if isinstance(given, type) else given
    if not isinstance(types, Sequence) or not all(
        isinstance(type_, type) and issubclass(type_, BaseException) for type_ in types
    ):
        raise InvalidOption(f"option `{name}` takes a tuple of exception classes")
    return tuple(types)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidOption(f"option `{name}` takes seconds, not {_type_name(value)}")
    if not 0 <= value <= _MAX_DELAY:
        raise InvalidOption(f"option `{name}` must be between 0 seconds and 100 years")
    return float(value)


def _type_name(value: object) -> str:
    return value.__name__ + " itself" if isinstance(value, type) else type(value).__name__
