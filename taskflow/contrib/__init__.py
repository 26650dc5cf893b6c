"""Integrations of frameworks, a package for each. Nothing of the core imports them, and none imports another."""
