"""System checks, and what the migration says of the models."""

from __future__ import annotations

import io

from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection

from .base import OutboxTest
from .transactions import with_outbox


class Checks(OutboxTest):
    def ids(self, **given: object) -> list[str]:
        return [str(one.id) for one in run_checks(**given) if "taskflow" in str(one.id)]

    def test_all_is_well_with_the_table(self) -> None:
        self.assertEqual(self.ids(databases=["default", "other"]), [])

    def test_a_setting_that_cannot_be_is_an_error(self) -> None:
        with with_outbox({"BATCHES": 5}):
            self.assertEqual(self.ids(), ["taskflow.E010"])
        with with_outbox({"DATABASES": ["nowhere"]}):
            self.assertEqual(self.ids(), ["taskflow.E011"])

    def test_a_migration_that_is_missing_is_said_where_databases_are_asked(self) -> None:
        with connection.schema_editor() as editor:
            editor.execute("ALTER TABLE taskflow_outbox RENAME TO elsewhere")
        try:
            self.assertEqual(self.ids(databases=["default"]), ["taskflow.W011"])
            self.assertEqual(self.ids(databases=["other"]), [])
            with with_outbox(False):
                self.assertEqual(self.ids(databases=["default"]), [])
        finally:
            with connection.schema_editor() as editor:
                editor.execute("ALTER TABLE elsewhere RENAME TO taskflow_outbox")

    def test_the_migration_is_what_the_models_are(self) -> None:
        """A change of a model without its migration fails in the first project that is checked."""
        call_command("makemigrations", "taskflow", check=True, dry_run=True, stdout=io.StringIO())
