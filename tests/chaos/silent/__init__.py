"""Hosts that go silent: servers on hosts of their own (network namespaces), which answer nothing, not even with a reset.

`network` makes the hosts, `deployments` what runs on them, `nemeses` what goes wrong, `run` one run and its verdict.
"""
