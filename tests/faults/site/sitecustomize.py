"""Switches the faults on in workers and their children: this folder is on their PYTHONPATH, and `TASKFLOW_FAULTS` is set.

Python imports this module at the start of every process, so it does nothing until the drivers are imported.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_DRIVERS = {"taskflow.connection.sync", "taskflow.connection.aio"}


class _Hook:
    """Stands first among the finders; once both drivers are there, puts the wrapper around them."""

    def __init__(self) -> None:
        self._missing = set(_DRIVERS)

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._missing:
            return None
        self._missing.discard(name)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                self._arrived(name)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _arrived(self, name: str) -> None:
        _DRIVERS.discard(name)
        if not _DRIVERS:
            sys.meta_path.remove(self)  # type: ignore[arg-type]
            if "tests.faults.inject" in sys.modules:
                return  # pytest's plugin has imported them, and does it by itself
            sys.path.append(
                str(Path(__file__).parents[3])
            )  # a `taskflow` that is run as a script knows no `tests`
            from tests.faults.inject import install
            from tests.faults.policy import Faults

            faults = Faults.from_environment()
            if faults is not None:
                install(faults)


if os.environ.get("TASKFLOW_FAULTS"):
    sys.meta_path.insert(0, _Hook())  # type: ignore[arg-type]
