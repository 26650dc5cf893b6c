"""System checks of the outbox: what its setting says, and whether the databases have what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connections

from .row import LABEL, OutboxRow
from .setting import NAME, outbox_settings


def register_checks() -> None:
    """Have `manage.py check` and its like call them."""
    register(check_setting, LABEL)
    register(check_tables, Tags.database)


def check_setting(app_configs: object = None, **_: object) -> list[CheckMessage]:
    """What can be said without asking a database."""
    try:
        settings = outbox_settings()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="taskflow.E010")]
    found: list[CheckMessage] = []
    for alias in settings.databases if settings.is_on else ():
        if alias not in connections.settings:
            found.append(
                Error(
                    f"{NAME} names the database {alias!r}, which is not in DATABASES.",
                    hint=f"DATABASES has {', '.join(map(repr, connections.settings))}.",
                    id="taskflow.E011",
                )
            )
        elif connections.settings[alias].get("ENGINE", "").endswith(".dummy"):
            found.append(
                Error(
                    f"{NAME} is set, and there is no database {alias!r} that could hold the outbox.",
                    hint="Set DATABASES, or leave the outbox out.",
                    id="taskflow.E012",
                )
            )
    return found


def check_tables(
    app_configs: object = None, databases: Sequence[str] | None = None, **_: object
) -> list[Any]:
    """What `manage.py check --database default`, and `migrate`, find out by asking."""
    if check_setting():
        return []
    settings = outbox_settings()
    found: list[CheckMessage] = []
    for alias in settings.databases if settings.is_on else ():
        if alias not in (databases or ()):
            continue
        connection = connections[alias]
        if not connection.features.supports_transactions:
            found.append(
                CheckWarning(
                    f"The database {alias!r} has no transactions (MyISAM?), so a call in the outbox does not belong to any.",
                    hint="Use InnoDB.",
                    id="taskflow.W010",
                )
            )
        try:
            with connection.cursor() as cursor:
                tables = connection.introspection.table_names(cursor)
        except (DatabaseError, InterfaceError):
            continue  # Django says so by itself
        if OutboxRow._meta.db_table not in tables:
            found.append(
                CheckWarning(
                    f"The database {alias!r} has no table {OutboxRow._meta.db_table}: a call fails that is to be kept there.",
                    hint=f"manage.py migrate taskflow --database {alias}; a database router has to allow it there.",
                    id="taskflow.W011",
                )
            )
    return found
