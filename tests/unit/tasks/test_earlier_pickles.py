"""Pickles that 0.1 wrote, before the user's API moved to a package of its own."""

from __future__ import annotations

import importlib
import pickle
import sys

import pytest

import taskflow
from taskflow import TaskFlow

# `pickle.dumps(app.result("an-id", queue="images"), 0)` with 0.1
HANDLE = b"ctaskflow.result\nrestored\np0\n(Vshop\np1\nV\np2\nVan-id\np3\nVimages\np4\nNNI0\ntp5\nRp6\n."


def test_a_handle_that_an_earlier_release_pickled_is_one_of_this_release() -> None:
    """Whoever keeps handles, in a session or a database, does not lose them by a deploy."""
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")

    handle = pickle.loads(HANDLE)

    assert type(handle) is type(app.result("an-id", queue="images"))
    assert (handle.id, handle.queue) == ("an-id", "images")


HOMES = {
    "AsyncResult": "result",
    "AsyncTask": "task",
    "Batch": "batch",
    "CurrentTask": "context",
    "Declaration": "declaration",
    "MapItem": "mapping",
    "MapResult": "mapping",
    "Options": "options",
    "QueueOptions": "partitions",
    "Reject": "errors",
    "ResultInfo": "result_info",
    "Retry": "errors",
    "State": "states",
    "Task": "task",
    "TaskFlow": "app",
    "current_task": "context",
}
"""Where the public names were in 0.1."""


@pytest.mark.parametrize("name", HOMES)
def test_a_function_sent_by_value_finds_what_it_uses_of_the_api_under_its_earlier_name(name: str) -> None:
    """Such tasks wait in queues during a deploy, and name what they use by the module that it came from."""
    found = pickle.loads(f"ctaskflow.{HOMES[name]}\n{name}\n.".encode())

    assert found is getattr(taskflow, name)


@pytest.mark.parametrize("module", ["taskflow.task", "taskflow.tasks.task"])
def test_a_function_sent_by_value_finds_the_task_with_options_that_it_holds(module: str) -> None:
    """What `task.options(...)` gives travels by value with a function that uses it, and its class by name: that of 0.1, and that
    from before it had a file of its own.
    """
    sender = TaskFlow("shop", broker="redis://127.0.0.1:1").task(name="noop")(_noop).options(queue="slow")

    assert pickle.loads(f"c{module}\nSender\n.".encode()) is type(sender)


def _noop() -> None: ...


def test_the_modules_themselves_stay_as_they_are_when_one_was_found_under_its_earlier_name() -> None:
    importlib.import_module("taskflow.result")

    assert sys.modules["taskflow.tasks.result"].__spec__.name == "taskflow.tasks.result"


def test_a_module_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("taskflow.results")
