"""Finds what is wrong with the servers and with what is stored in queues, and puts right what can be."""

from .examine import examine
from .values import Diagnosis, Finding, Fix, Severity

__all__ = ["Diagnosis", "Finding", "Fix", "Severity", "examine"]
