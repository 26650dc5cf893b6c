"""An app that replaces the standard library's threads: the start is refused in one line, and a patched client works."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from taskflow.runner.patched import patched_by
from tests.servers import Server
from tests.workers import ROOT, WorkerProcess

APP = """
{patch}
from taskflow import TaskFlow
app = TaskFlow("patched", retention=60)

@app.task(name="patched:double")
def double(number: int) -> int:
    return 2 * number
"""

CLIENT = """
from gevent import monkey
monkey.patch_all()
import gevent
from jobs import double
handles = [gevent.spawn(double.delay, number) for number in range(20)]
gevent.joinall(handles, raise_error=True)
print(sum(handle.value.get(30) for handle in handles))
"""


# In an environment that was made before gevent was one of the tests' requirements.
needs_gevent = pytest.mark.skipif(
    importlib.util.find_spec("gevent") is None and "CI" not in os.environ, reason="gevent is not installed"
)


@needs_gevent
@pytest.mark.parametrize("call", ["monkey.patch_all()", "monkey.patch_all(thread=False)"])
def test_a_worker_whose_app_is_patched_by_gevent_says_so_and_ends(
    tmp_path: Path, valkey: Server, queue: str, call: str
) -> None:
    """The first task was received, then there was silence."""
    (tmp_path / "jobs.py").write_text(APP.format(patch=f"from gevent import monkey\n{call}"))
    options = {"broker": valkey.url, "queues": {queue: 1}}
    with WorkerProcess("jobs", directory=tmp_path, ready=False, **options) as worker:
        assert worker.wait(60) == 2
        line = worker.wait_for_log("gevent's monkey patching is active in the worker's child")
    assert "TASKFLOW_WORKER" in line


@needs_gevent
def test_an_app_that_patches_only_its_clients_works(tmp_path: Path, valkey: Server, queue: str) -> None:
    """As the line advises."""
    (tmp_path / "jobs.py").write_text(APP.format(patch=""))
    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "guarded.py").write_text(
        APP.format(
            patch="import os\nif 'TASKFLOW_WORKER' not in os.environ:\n    from gevent import monkey\n    monkey.patch_all()"
        )
    )
    with WorkerProcess("guarded", directory=tmp_path, broker=valkey.url, queues={queue: 1}):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import os; os.environ['TASKFLOW_BROKER'] = {valkey.url!r}\n" + _client(queue),
            ],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.strip() == str(sum(2 * number for number in range(20))), done.stderr


def _client(queue: str) -> str:
    return CLIENT.replace("double.delay", f"double.options(queue={queue!r}).delay")


def test_eventlet_is_seen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    patcher = SimpleNamespace(is_monkey_patched=lambda name: name == "thread")
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)  # type: ignore[arg-type]
    assert patched_by() == "eventlet"


@needs_gevent
def test_a_library_that_is_imported_and_patches_nothing_is_fine() -> None:
    assert patched_by() == ""
    code = "import gevent.monkey\nfrom taskflow.runner.patched import patched_by\nprint(patched_by() == '')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "True"
