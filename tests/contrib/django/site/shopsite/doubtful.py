"""Settings in which one of Django's checks finds an error."""

from .settings import *  # noqa: F403

CSRF_FAILURE_VIEW = "nowhere.at_all"
