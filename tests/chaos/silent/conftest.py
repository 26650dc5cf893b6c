"""The long form is hours of work: it is collected only where it is asked for."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("TASKFLOW_CHAOS") == "long" else ["test_long.py"]
