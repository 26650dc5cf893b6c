"""Django's own tests that do not apply, each with its reason. One that is listed and passes is an error, too."""

from __future__ import annotations

PRIORITY = "queues of Asynq's have no order of priorities: a priority is refused where it is written"
RESULTS = "it is about a backend that has no results, and this one has"

LISTED: dict[str, str] = {
    "tasks.test_tasks.TaskTestCase.test_using_priority": PRIORITY,
    "tasks.test_tasks.TaskTestCase.test_chained_using": PRIORITY,
    "tasks.test_tasks.TaskTestCase.test_invalid_priority": PRIORITY,
    "tasks.test_dummy_backend.DummyBackendTestCase.test_refresh_result": (
        "it changes what the dummy backend has in memory, and looks whether that is seen; here a server has it"
    ),
    "tasks.test_dummy_backend.DummyBackendTestCase.test_refresh_result_async": "likewise",
    "tasks.test_immediate_backend.ImmediateBackendTestCase.test_cannot_get_result": RESULTS,
    "tasks.test_immediate_backend.ImmediateBackendTestCase.test_cannot_refresh_result": RESULTS,
    "tasks.test_immediate_backend.ImmediateBackendTestCase.test_cannot_pass_run_after": (
        "it is about a backend that runs nothing later, and this one does"
    ),
}
