"""The integration as a project's own tests see it: `manage.py test` of a project, with a real broker and a real PostgreSQL."""

from __future__ import annotations

import re

import pytest

from tests.contrib.django.project import site
from tests.postgres import Postgres
from tests.servers import Server


@pytest.mark.parametrize("module", ["commits", "helpers", "surroundings"])
def test_the_projects_own_tests_pass(valkey: Server, postgres: Postgres, module: str) -> None:
    """Each is one of Django's test cases, in `site/orders/in_django`: there a test has what a user's test has."""
    done = site(valkey.url, postgres.create()).manage("test", f"orders.in_django.{module}", "--noinput")

    assert done.returncode == 0, done.stderr[-8000:]
    assert int(re.findall(r"Ran (\d+) tests?", done.stderr)[0]) > 5
