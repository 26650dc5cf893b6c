"""Where tox looks for a Python besides that of `tox` itself: Django 6 needs a newer one than the everyday suite.

tox finds what is on the PATH. Those of pyenv are not, unless they are chosen: its shims refuse the others. Without such a Python
the environments that need it are skipped, and `tox` says so at its end; in CI they fail.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tox.plugin import impl

VERSIONS = ("3.13", "3.14", "3.12")
"""Those with which Django 6 runs, the best first; `base_python` of tox.ini has the same."""


@impl
def tox_add_core_config(core_conf: Any, state: Any) -> None:
    """Before any environment is made."""
    options = state.conf.options
    options.discover = [*options.discover, *pythons_of_pyenv()]
    if options.skip_missing_interpreters == "config":
        options.skip_missing_interpreters = "false" if os.environ.get("CI") == "true" else "true"


def pythons_of_pyenv() -> list[str]:
    """The newer Pythons that pyenv has installed, in the order in which they are tried."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return [
        str(python)
        for version in VERSIONS
        for python in sorted(root.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)
    ]
