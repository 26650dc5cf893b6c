"""Runs Django's tests of tasks, in a process of its own: its settings are those of Django's runner, and these of ours.

    python run.py FOLDER BROKER OUTPUT

FOLDER has the package `tasks`; OUTPUT gets a JSON object of each test's name and of what is wrong with it, "" for nothing.
"""

from __future__ import annotations

import json
import sys
import unittest
from importlib import util
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.test.utils import setup_databases, setup_test_environment, teardown_databases


class Noted(unittest.TestResult):
    """What has become of each test; a failure of a part of one is one of the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.said[test.id()] = ""

    def addError(self, test: Any, error: Any) -> None:
        self.note(test, error)

    def addFailure(self, test: Any, error: Any) -> None:
        self.note(test, error)

    def addSubTest(self, test: Any, subtest: Any, error: Any) -> None:
        if error is not None:
            self.note(test, error)

    def addSkip(self, test: Any, reason: str) -> None:
        self.said[test.id()] = f"skipped: {reason}"

    def note(self, test: Any, error: Any) -> None:
        self.said[test.id()] = self._exc_info_to_string(error, test)


def main(folder: str, broker: str, output: str) -> None:
    settings.configure(
        SECRET_KEY="django_tests_secret_key",
        USE_TZ=False,  # as Django's tests/test_sqlite.py has it
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3"}},
        INSTALLED_APPS=["taskflow.contrib.django"],
        TASKFLOW={"BROKER": broker, "NAME": "upstream"},
    )
    sys.path.insert(0, folder)
    django.setup()
    spec = util.spec_from_file_location("upstream_backends", Path(__file__).with_name("backends.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules["upstream_backends"] = module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    setup_test_environment()
    databases = setup_databases(0, interactive=False)
    noted = Noted()
    unittest.defaultTestLoader.discover(f"{folder}/tasks", top_level_dir=folder).run(noted)
    teardown_databases(databases, 0)
    Path(output).write_text(json.dumps(noted.said))


if __name__ == "__main__":
    main(*sys.argv[1:])
