"""What is imported when: a command that starts a worker must not wait for what only its children need."""

from __future__ import annotations

import subprocess
import sys

import pytest

import taskflow

HEAVY = ("redis", "google.protobuf", "tenacity", "cloudpickle", "taskflow.tasks.app", "taskflow.broker")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_every_public_name_is_there() -> None:
    for name in taskflow.__all__:
        assert getattr(taskflow, name) is not None
        assert name in dir(taskflow)
    assert set(taskflow._HOMES) | {"__version__", "errors", "events"} == set(taskflow.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Taskflow'"):
        taskflow.Taskflow  # noqa: B018


def test_a_star_import_brings_every_name() -> None:
    names: dict[str, object] = {}
    exec("from taskflow import *", names)
    assert set(taskflow.__all__) <= set(names)


@pytest.mark.parametrize("statement", ["import taskflow", "import taskflow.cli.worker"])
def test_children_are_started_before_anything_heavy_is_imported(statement: str) -> None:
    loaded = loaded_by(statement)
    assert not [name for name in HEAVY if name in loaded]


def test_a_worker_process_never_imports_what_runs_tasks() -> None:
    loaded = loaded_by("import taskflow.worker.main")
    assert not [name for name in loaded if name.startswith(("taskflow.runner", "taskflow.tasks"))]


def test_a_worker_imports_only_afterwards_what_its_first_tasks_do_not_need() -> None:
    """Its first task began a tenth later."""
    loaded = loaded_by("import taskflow.worker.main")
    names = (
        "google.protobuf",
        "taskflow.worker.upkeep",
        "taskflow.message.records",
        "taskflow.broker.commands.sweep",
    )
    assert not [name for name in loaded if name.startswith(names)]


def test_a_worker_process_imports_neither_options_nor_keys() -> None:
    """Both are its children's; for the name of one queue it had the table of options, and began ten milliseconds later."""
    loaded = loaded_by("import taskflow.worker.main")
    names = ("taskflow.options", "taskflow.message.message_crypto", "taskflow.message.encryption", "tenacity")
    assert not [name for name in loaded if name.startswith(names)]


CHILD = """
import taskflow.runner.__main__
from taskflow import TaskFlow
from taskflow.runner.loading import hello
app = TaskFlow("shop", broker="redis://127.0.0.1:1")
@app.task
def resize(src: str) -> str:
    return src
hello(app)
resize._decode(b'{"src": "a.png"}')
"""


def test_a_program_that_enqueues_imports_nothing_that_runs_tasks() -> None:
    # redis-py imports OpenTelemetry's SDK where that is installed, as it is for these tests, and that imports ctypes.
    loaded = loaded_by(
        "import sys; sys.modules['opentelemetry'] = None; "
        "from taskflow import TaskFlow; TaskFlow('shop', broker='redis://127.0.0.1:1').client.broker"
    )
    assert not loaded & {"taskflow.tasks.run", "taskflow.tasks.eager", "taskflow.tasks.limits", "ctypes"}


def test_a_child_whose_tasks_enqueue_nothing_does_without_redis_and_asyncio() -> None:
    """They take 18 MB."""
    assert not loaded_by(CHILD) & {"redis", "asyncio", "ssl", "hiredis"}
    assert "taskflow.client" not in loaded_by(CHILD)
    assert loaded_by(CHILD + "app.client.broker") >= {"redis", "asyncio"}


def test_an_app_without_middleware_and_dependencies_imports_nothing_of_them() -> None:
    parts = ("middleware", "around", "outgoing", "depends", "injection", "resources")
    assert not loaded_by(CHILD) & {f"taskflow.tasks.{part}" for part in parts}
