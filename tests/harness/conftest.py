"""Tests of the tests and of the benchmarks: `tox -e harness` runs them, everyday runs do not."""

from tests.interop.conftest import peer, peer_binary

__all__ = ["peer", "peer_binary"]
