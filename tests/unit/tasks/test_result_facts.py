"""What an archived task is in Celery's words: what failed is FAILURE, what nobody wants any more is REVOKED."""

from __future__ import annotations

from typing import Any

import pytest

from taskflow import Cancel, Reject, TaskFlow


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("facts", eager=True, retention=60, max_retries=0)


def ended(app: TaskFlow, error: BaseException) -> Any:
    @app.task(name=f"raises-{len(app.tasks)}")
    def raises() -> None:
        raise error

    return raises.delay()


@pytest.mark.parametrize("error", [ValueError("no"), ValueError("cancelled"), Reject("no"), RuntimeError("")])
def test_what_has_failed_has_failed(app: TaskFlow, error: BaseException) -> None:
    """Whatever its text says."""
    handle = ended(app, error)
    assert (handle.status, handle.ready(), handle.failed(), handle.successful()) == (
        "FAILURE",
        True,
        True,
        False,
    )


@pytest.mark.parametrize("error", [Cancel(), Cancel("the order was withdrawn")])
def test_what_was_cancelled_has_not_failed(app: TaskFlow, error: BaseException) -> None:
    """`failed()` of Celery is False then, and whoever counts failures by it must not count what he has cancelled himself."""
    handle = ended(app, error)
    assert (handle.status, handle.ready(), handle.failed(), handle.successful()) == (
        "REVOKED",
        True,
        False,
        False,
    )


def test_what_has_expired_has_not_failed_either(app: TaskFlow) -> None:
    @app.task
    def late() -> None: ...

    handle = late.options(expires=1e-9).delay()
    assert (handle.status, handle.failed()) == ("REVOKED", False)
