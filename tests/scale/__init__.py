"""Crowds, big numbers and clusters, in a small form: that it works and is counted right, not how fast it is."""
