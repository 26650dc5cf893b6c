"""The outbox as a project's own tests see it: `manage.py test`, with a real broker, on PostgreSQL and on SQLite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.contrib.django.outbox.site import Site
from tests.servers import Server


def databases(kind: str, request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    if kind == "sqlite":
        files = {alias: str(folder / f"{alias}.sqlite3") for alias in ("default", "other")}
        return {
            alias: {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": file,
                "OPTIONS": {"timeout": 30},
                "TEST": {"NAME": f"{file}.test"},
            }
            for alias, file in files.items()
        }
    postgres = request.getfixturevalue("postgres")
    return {alias: postgres.create().of_django() for alias in ("default", "other")}


IN = "shop.in_django"
ALL = (f"{IN}.checks", f"{IN}.relaying", f"{IN}.transactions")
OF_DATABASES = (f"{IN}.relaying.Once", f"{IN}.relaying.Waking", f"{IN}.transactions.Savepoints")
"""Where databases differ: what is locked, when something is committed, what time it is."""


@pytest.mark.parametrize(("kind", "labels", "count"), [("postgresql", ALL, 29), ("sqlite", OF_DATABASES, 7)])
def test_the_projects_own_tests_pass(
    request: pytest.FixtureRequest,
    valkey: Server,
    tmp_path: Path,
    kind: str,
    labels: tuple[str, ...],
    count: int,
) -> None:
    site = Site(valkey.url, databases(kind, request, tmp_path))
    said = site.manage("test", *labels, "--noinput")
    assert int(re.findall(r"Ran (\d+) tests?", said)[0]) >= count
