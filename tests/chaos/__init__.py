"""Ledger and nemeses: kills servers and workers under load, then counts what was lost, doubled and stalled.

`python -m tests.chaos --help` runs it by hand; `pytest -m chaos` runs the short form.
"""
