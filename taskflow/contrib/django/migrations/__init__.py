"""Migrations of the app `taskflow`: the table of the outbox."""
