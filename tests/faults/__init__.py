"""The functional suite with one command in a hundred failing, before or after it ran:

`tox -e faults`, or any tests: `python -m pytest -p tests.faults.plugin --fault-rate=0.05 --fault-seed=7 tests/lifecycle`.
"""
