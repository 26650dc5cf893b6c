"""The settings: as little as Django needs."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]

SECRET_KEY = os.environ.get("SECRET_KEY", "for development only")
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["taskflow.contrib.django", "shop"]
ROOT_URLCONF = "config.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 20},  # web and worker write to the same file
    }
}
TASKFLOW = {
    "QUEUE": "orders",
    "RETENTION": 3600,
    "ENQUEUE_ON_COMMIT": True,  # a call in a transaction waits for its commit
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
