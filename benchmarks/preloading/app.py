"""A project as many are: an ORM, the admin, forms, templates; and a task that uses it."""

from __future__ import annotations

import json

import django
from django.conf import settings

from taskflow import TaskFlow

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    ROOT_URLCONF=__name__,
)
django.setup()

import asyncio  # noqa: E402, F401
import email.mime.multipart  # noqa: E402, F401

import django.contrib.admin.sites  # noqa: E402
import django.contrib.auth.forms  # noqa: E402
import django.core.mail  # noqa: E402
import django.db.models  # noqa: E402
import django.forms  # noqa: E402
import django.template.loader  # noqa: E402
import django.test.client  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402

app = TaskFlow("preloaded", max_retries=0)


@app.task(name="work")
def work(number: int) -> None:
    """Make objects of models, and text of them."""
    users = [User(username=f"user{number + step}", email="a@b.example") for step in range(20)]
    json.dumps([{"user": str(user), "number": number} for user in users])
