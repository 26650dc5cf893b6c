"""Whatever clients, workers, inspectors and the dead of both languages do to a queue, it stays in order.

`TASKFLOW_PROPERTIES=deep` looks for as long as it takes (half an hour), `quick` for a few seconds.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.properties.conftest import Search
from tests.properties.machine import Groups, MixedQueue, Queue, Workers
from tests.properties.place import Place

pytestmark = pytest.mark.timeout(0)


def test_a_queue_of_python_alone_is_in_order_after_every_step(place: Place, search: Search) -> None:
    search(lambda: Queue(place))


def test_a_queue_of_python_and_go_is_in_order_after_every_step(place: Place, search: Search) -> None:
    search(lambda: MixedQueue(place))


def test_workers_of_python_and_go_leave_every_task_in_order(place: Place, search: Search) -> None:
    """Without administrators more tasks get far."""
    search(lambda: Workers(place))


def test_members_of_groups_are_joined_or_refused_once(
    place: Place, search: Search, profile: settings
) -> None:
    """Without workers more groups get so far."""
    search(lambda: Groups(place), settings(profile, max_examples=profile.max_examples // 3))


def test_a_queue_on_a_cluster_is_in_order_after_every_step(
    cluster_place: Place, search: Search, profile: settings
) -> None:
    few = settings(profile, max_examples=profile.max_examples // 3)
    search(lambda: MixedQueue(cluster_place), few)
