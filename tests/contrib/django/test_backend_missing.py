"""Django 5.2 has no `django.tasks`."""

from __future__ import annotations

import importlib

import django
import pytest


@pytest.mark.skipif(django.VERSION >= (6,), reason="what is said where there is no django.tasks")
def test_without_django_6_it_is_said_what_to_use() -> None:
    """Whoever copies the settings of a newer project hears why they do nothing here."""
    with pytest.raises(ImportError, match=r"is a part of Django 6, and this is Django 5\.2.*shared_task"):
        importlib.import_module("taskflow.contrib.django.backend")
