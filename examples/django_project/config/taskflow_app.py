"""The project's TaskFlow app, and what a worker needs of Django.

Modules with tasks import it before any model.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import django
from django.conf import settings
from django.db import close_old_connections

from taskflow import TaskFlow

P = ParamSpec("P")
R = TypeVar("R")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
if not settings.configured:
    # A worker: nobody else sets Django up. Under manage.py or a web server the settings are loaded by now,
    # and Django is set up, or about to be; a second setup() in the middle of the first is an error.
    django.setup()

app = TaskFlow("shop", retention=3600)


def with_database(function: Callable[P, R]) -> Callable[P, R]:
    """Close broken and outdated database connections around a task, as Django does around a request."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return wrapper
