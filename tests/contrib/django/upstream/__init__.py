"""Django's own tests of task backends, out of its source distribution, against this backend (`tox -e django60`, `django61`)."""
