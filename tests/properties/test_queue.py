"""Whatever clients, workers, inspectors and the dead of both languages do to a queue, it stays in order.

`TASKFLOW_PROPERTIES=deep` looks for as long as it takes (half an hour), `quick` for a few seconds.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machine import MixedQueue, Queue, Workers
from tests.properties.place import Place

pytestmark = pytest.mark.timeout(0)


def test_a_queue_of_python_alone_is_in_order_after_every_step(place: Place, profile: settings) -> None:
    run_state_machine_as_test(lambda: Queue(place), settings=profile)


def test_a_queue_of_python_and_go_is_in_order_after_every_step(place: Place, profile: settings) -> None:
    run_state_machine_as_test(lambda: MixedQueue(place), settings=profile)


def test_workers_of_python_and_go_leave_every_task_in_order(place: Place, profile: settings) -> None:
    """Without administrators more tasks get far."""
    run_state_machine_as_test(lambda: Workers(place), settings=profile)


@pytest.mark.xdist_group("cluster")
def test_a_queue_on_a_cluster_is_in_order_after_every_step(cluster_place: Place, profile: settings) -> None:
    few = settings(profile, max_examples=profile.max_examples // 3)
    run_state_machine_as_test(lambda: MixedQueue(cluster_place), settings=few)
