"""For tests of a Django project: what a block enqueues is kept, or run, and `on_commit` happens where no test commits.

Example:
    >>> from django.test import TestCase                                 # doctest: +SKIP
    >>> from taskflow.contrib.django.test import TasksMixin              # doctest: +SKIP
    >>> class OrderTests(TasksMixin, TestCase):                          # doctest: +SKIP
    ...     def test_an_order_is_priced(self):
    ...         with self.captured_tasks() as calls:
    ...             self.client.post("/orders/", {"product": "pear"})
    ...         assert [call.task for call in calls] == ["shop.tasks.price"]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.conf import settings
from django.db import connections
from django.test import override_settings

from .capturing import CapturedCall, CapturedCalls, captured_calls
from .conf import SETTING

__all__ = ["CapturedCall", "CapturedCalls", "TasksMixin", "eager_tasks"]


class eager_tasks(override_settings):  # type: ignore[misc]
    """Run tasks where they are enqueued: `with eager_tasks():`, above a test, or above a class of tests.

    Args:
        propagates: raise at `.delay()` what a task fails with for good.
    """

    def __init__(self, *, propagates: bool = True) -> None:
        given = {**getattr(settings, SETTING, {}), "EAGER": True, "EAGER_PROPAGATES": propagates}
        super().__init__(**{SETTING: given})


class TasksMixin:
    """For `TestCase` and `TransactionTestCase`, and all that is derived from them: put it before them.

    No server is needed for either of its blocks.
    """

    @contextmanager
    def captured_tasks(self) -> Iterator[CapturedCalls]:
        """Keep the calls of a block, instead of sending them.

        Those that wait for a commit are in the list at the end of the block, as if the test's transaction were committed there,
        which in a `TestCase` it never is. Those of a transaction that was rolled back are not.
        """
        with captured_calls() as calls, self._committed():
            yield calls

    @contextmanager
    def running_tasks(self, *, propagates: bool = True) -> Iterator[None]:
        """Run the tasks of a block where they are enqueued; those that wait for a commit at its end.

        Args:
            propagates: raise what a task fails with for good.
        """
        with eager_tasks(propagates=propagates), self._committed():
            yield

    @contextmanager
    def _committed(self) -> Iterator[None]:
        """Call what waits for the commit of the test's own transaction, of each of its databases."""
        capture: Any = getattr(self, "captureOnCommitCallbacks", None)
        with ExitStack() as stack:
            for alias in sorted(_databases(self)) if capture is not None else ():
                stack.enter_context(capture(using=alias, execute=True))
            yield


def _databases(test: Any) -> set[str]:
    found = getattr(test, "databases", {"default"})
    return set(connections) if found == "__all__" else set(found)
