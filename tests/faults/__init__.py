"""The functional suite with one command in a hundred failing, before or after it ran:

tox -e faults, or `pytest --fault-rate=0.01 tests/lifecycle tests/commands tests/cluster tests/interop`.
"""
