"""A Django project for tests, whose modules import each other as people do it."""
