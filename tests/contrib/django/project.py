"""The Django project of the tests: its commands, and workers for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.postgres import Database
from tests.workers import WorkerProcess

ROOT = Path(__file__).parents[3]
SITE = Path(__file__).parent / "site"


@dataclass(frozen=True)
class Site:
    """The project with its databases and its settings.

    Args:
        broker: its URL.
        databases: as `DATABASES` has them.
        taskflow: the keys of `TASKFLOW` besides the broker.
    """

    broker: str
    databases: Mapping[str, Any]
    taskflow: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """What its processes need to know."""
        return {
            "TEST_DATABASES": json.dumps(self.databases),
            "TEST_TASKFLOW": json.dumps({"BROKER": self.broker, "RETENTION": 600, **self.taskflow}),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "DJANGO_SETTINGS_MODULE": "shopsite.settings",
        }

    def manage(self, *arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` with these arguments."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=SITE,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def python(self, program: str) -> str:
        """Run a program with Django set up; what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", f"import django; django.setup()\n{program}"],
            cwd=SITE,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def worker(self, **options: Any) -> WorkerProcess:
        """`taskflow -A shopsite worker`."""
        return WorkerProcess("shopsite", directory=SITE, environment=self.environment, **options)


def site(broker: str, database: Database, *, taskflow: Mapping[str, Any] | None = None, **more: Any) -> Site:
    """The project with one database, twice; `more` is for its entry, such as CONN_MAX_AGE."""
    entry = database.of_django(**more)
    other = {**entry, "TEST": {"NAME": f"test_other_{database.name}"}}
    return Site(broker, {"default": entry, "other": other}, taskflow or {})
