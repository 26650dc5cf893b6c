"""Plants a leak in the worker and its children: this folder is on their PYTHONPATH when one is wanted."""

from __future__ import annotations

from tests.soak.leaks import plant
from tests.soak.settings import Settings

plant(Settings.from_environment())
