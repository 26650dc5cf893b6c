"""A project whose tasks are Django's. What differs from test to test is in the environment."""

import json
import os

SECRET_KEY = "of-a-test"
USE_TZ = os.environ.get("USE_TZ", "1") == "1"
TIME_ZONE = "Europe/Berlin"

INSTALLED_APPS = ["django.contrib.contenttypes", "taskflow.contrib.django", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TASKFLOW = json.loads(os.environ["TASKFLOW_SETTING"])

BACKEND = "taskflow.contrib.django.TaskFlowBackend"
TASKS = {
    "default": {"BACKEND": BACKEND, "QUEUES": ["default", "mail", "rare"]},
    "patient": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"max_retries": 3, "wait": None, "timeout": 7}},
    "immediate": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend", "QUEUES": []},
}
