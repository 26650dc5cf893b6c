"""The secrets of these tests, and what finds them where they must not be."""

from __future__ import annotations

SIGNING = "signing-key-of-the-tests"
OLD_SIGNING = "old-signing-key-of-the-tests"
OTHER_SIGNING = "somebody-elses-signing-key"
ENCRYPTION = "encryption-key-of-the-tests"
OLD_ENCRYPTION = "old-encryption-key-of-the-tests"

CANARY = "canary-3e7f0c"
"""Stands in arguments, exceptions, results and passwords, and nowhere else."""
