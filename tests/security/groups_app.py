"""Apps with every kind of keys that join the groups of the test's queue: `-A tests.security.groups_app:signed` and so on."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from taskflow import TaskFlow, current_task
from taskflow.pipe.frames import Build, Built
from taskflow.runner import building
from tests.security.keys import ENCRYPTION, OLD_ENCRYPTION, OLD_SIGNING, OTHER_SIGNING, SIGNING

FIRST_BUILD = "TASKFLOW_TEST_FIRST_BUILD"
"""What becomes of the first build of a worker: `dies`, `hangs`, `fails` or `waits`, a colon, and the file that says it has
happened. What waits goes on when this file is gone, and then there is one of the same name that ends with `.built`.
"""


def add_up(group: str, items: list[Any]) -> dict[str, Any]:
    """What was joined, and as which task."""
    numbers = sorted(item["number"] for item in items)
    return {"group": group, "numbers": numbers, "id": current_task().id}


def single(number: int, text: str = "") -> None:
    raise AssertionError("a member of a group does not run by itself")


def make(name: str, **options: Any) -> TaskFlow:
    app = TaskFlow(name, retention=600, max_retries=0, **options)
    app.task(name="single")(single)
    task = app.task(name="add_up")(add_up)
    if "TASKFLOW_TEST_GROUPS" in os.environ:
        app.aggregate(task, queue=os.environ["TASKFLOW_TEST_GROUPS"], grace=1, max_size=50)
    return app


plain = make("plain")
signed = make("signed", signing_keys=[SIGNING])
encrypted = make("encrypted", encryption_keys=[ENCRYPTION])
sealed = make("sealed", signing_keys=[SIGNING], encryption_keys=[ENCRYPTION])
old = make("old", signing_keys=[OLD_SIGNING], encryption_keys=[OLD_ENCRYPTION])
rotated = make("rotated", signing_keys=[SIGNING, OLD_SIGNING], encryption_keys=[ENCRYPTION, OLD_ENCRYPTION])
rotated_encryption = make("rotated_encryption", encryption_keys=[ENCRYPTION, OLD_ENCRYPTION])
other = make("other", signing_keys=[OTHER_SIGNING])


def hurt_the_first_build(what: str, said: Path) -> None:
    """What user code can do to a child while it builds; here it is done at the worst moment."""
    build = building.build

    def hurt(*given: Any) -> Built:
        if said.exists():
            return build(*given)
        said.touch()
        if what == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hangs":
            threading.Event().wait()
        if what == "waits":
            while said.exists():
                time.sleep(0.02)
            building.build = build
            said.with_suffix(".built").touch()
            return build(*given)
        work: Build = given[2]
        raise ValueError(f"what is in {work.group!r}")

    building.build = hurt


if "TASKFLOW_WORKER" in os.environ and FIRST_BUILD in os.environ:
    _what, _, _said = os.environ[FIRST_BUILD].partition(":")
    hurt_the_first_build(_what, Path(_said))
