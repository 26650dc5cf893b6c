"""Tests that say what a *first* send gets, or count calls: under faults their commands are sent again, rightly with other
replies. They run without faults.
"""

EXACT: dict[str, str] = {}
"""Node ids, or how they begin, and why."""
