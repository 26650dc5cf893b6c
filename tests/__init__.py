"""Tests start hundreds of Python processes. One whose bytecode is not kept compiles all that it imports: a worker starts in a
third of a second, or in more than one. Where the environment says that none is to be written, it is kept in a folder of pytest's.
"""

import os
import sys
from pathlib import Path

if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ.setdefault(
        "PYTHONPYCACHEPREFIX", str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    )
