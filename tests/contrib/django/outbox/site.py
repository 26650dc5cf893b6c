"""The Django project of the outbox's tests: its commands, its programs and workers for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.workers import ROOT, WorkerProcess

PROJECT = Path(__file__).parent / "project"


@dataclass(frozen=True)
class Site:
    """The project with its databases, `default` and `other`, and the keys of `TASKFLOW`."""

    broker: str
    databases: Mapping[str, Any]
    taskflow: Mapping[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TEST_DATABASES": json.dumps(self.databases),
            "TEST_TASKFLOW": json.dumps({"BROKER": self.broker, "OUTBOX": True, **self.taskflow}),
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "site_of_outbox.settings",
        }

    def start(self, *line: str) -> subprocess.Popen[str]:
        """Start Python with this line."""
        return subprocess.Popen(
            [sys.executable, *line],
            cwd=PROJECT,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *line: str, code: int = 0) -> str:
        """Run Python with this line; what it prints."""
        process = self.start(*line)
        try:
            out, said = process.communicate(timeout=100)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == code, said[-6000:]
        return out + said

    def manage(self, *line: str, code: int = 0) -> str:
        return self.run("manage.py", *line, code=code)

    def python(self, program: str, code: int = 0) -> str:
        """Run a program with Django set up."""
        return self.run("-c", f"import django; django.setup()\n{program}", code=code)

    def worker(self, **options: Any) -> WorkerProcess:
        return WorkerProcess("site_of_outbox", directory=PROJECT, environment=self.environment, **options)
