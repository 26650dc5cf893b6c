"""Builders of commands, by subject: from values to a `Command`, and from its reply to a value (pure)."""
