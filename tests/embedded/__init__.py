"""Tests of the embedded server: real processes, ended by process id."""
