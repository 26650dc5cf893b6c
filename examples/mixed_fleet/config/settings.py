"""The settings: as little as Django needs, and taskflow's."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]

SECRET_KEY = os.environ.get("SECRET_KEY", "for development only")
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["taskflow.contrib.django", "photos"]
ROOT_URLCONF = "config.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 20},  # web and worker write to the same file
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

TASKFLOW = {
    "BROKER": os.environ.get("TASKFLOW_BROKER", "redis://127.0.0.1:6379"),  # Go's, too
    "RETENTION": 3600,  # seconds that results are kept, also those of calls that Go runs
}
